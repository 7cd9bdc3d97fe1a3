"""Keyless signing in a job of a CI: who asks for the identity and when, and what a service's refusal leaves."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sigstore.models import ClientTrustConfig

from harness.errors import UserError
from harness.evidence import keyless, signature, store
from harness.evidence.verify import check
from tests.support.command import light
from tests.support.doubling import contract
from tests.support.sigstore_world.services import Services, served
from tests.support.sigstore_world.world import GITHUB, WORKFLOW, World


@pytest.fixture
def run(lab, tmp_path: Path) -> Path:
    """A sealed run that nobody signed."""
    folder, found = lab
    copy = tmp_path / found["run"]
    shutil.copytree(folder / found["evidence"], copy)
    return copy


@pytest.fixture
def services(monkeypatch, tmp_path) -> Iterator[Services]:
    """Our Sigstore and its CI, running; this process is a job of that CI."""
    with served(World()) as running:
        for name in keyless.REQUESTS:
            monkeypatch.delenv(name, raising=False)
        for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
            monkeypatch.setenv(name, str(tmp_path / "home"))
        for name, value in running.job().items():
            monkeypatch.setenv(name, value)
        yield running


def test_what_a_job_signs_is_verified(run, services, tmp_path):
    """The client of Sigstore with its services: token, certificate, signature, entry of the log, bundle."""
    trust = ClientTrustConfig.from_json(services.trust_config())
    keyless.sign(run, signature.statement(run), keyless.Requests(), trust)
    assert [path for path, _ in services.asked] == ["/token", "/api/v2/signingCert", "/api/v1/log/entries"]
    verifier = keyless.verifier(services.world.trusted(tmp_path / "root.json"))
    assert keyless.faults(run, signature.statement(run), keyless.Signer(WORKFLOW, GITHUB), verifier) == []


SERVICES = ("/token", "/api/v2/signingCert", "/api/v1/log/entries")


def refused(run: Path, services: Services) -> str:
    """What is told when a run could not be signed, which leaves it as it was."""
    with pytest.raises(UserError, match="is sealed and not signed: ") as told:
        keyless.sign(
            run,
            signature.statement(run),
            keyless.Requests(),
            ClientTrustConfig.from_json(services.trust_config()),
        )
    assert not (run / keyless.NAME).exists()
    return alone(str(told.value))


@pytest.mark.parametrize("silent", SERVICES)
def test_a_service_that_never_answers_is_given_up(run, services, monkeypatch, silent):
    services.silent.add(silent)
    monkeypatch.setattr(keyless, "PATIENCE_S", 1.0)
    began = time.monotonic()
    assert "no answer within 1 s" in refused(run, services)
    assert time.monotonic() - began < 5
    assert [path for path, _ in services.asked].count(silent) == 1


@pytest.mark.parametrize("refusing", SERVICES)
def test_a_service_that_refuses_is_told_in_one_line(run, services, refusing):
    services.refusing.add(refusing)
    assert "403" in refused(run, services)


def test_a_ci_that_gives_no_identity_is_told_in_one_line(run, services, monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert "the CI gave no identity" in refused(run, services)


def test_outside_a_ci_one_line_says_so_before_anything_runs(asking, services, monkeypatch):
    for name in keyless.REQUESTS:
        monkeypatch.delenv(name, raising=False)
    done = light(asking, "run", "contracts", "--candidate", "asks.py", "--sign", "sigstore", "--no-isolate")
    assert (done.returncode, done.stdout) == (2, "")
    assert "found no identity of a CI job" in alone(done.stderr)
    assert not (asking / "evidence").exists()


def test_a_trust_configuration_that_is_none_is_told_before_anything_runs(asking, services, monkeypatch):
    monkeypatch.chdir(asking)
    nobody = json.loads(services.trust_config())
    nobody["signingConfig"]["caUrls"] = []
    Path("nobody.json").write_text(json.dumps(nobody))
    for name in ("asks.py", "none.json", "", "nobody.json"):
        with pytest.raises(UserError, match=f"--sign sigstore:{name}: no trust configuration"):
            keyless.services(name)
    done = light(asking, "run", "contracts", "--candidate", "asks.py", "--sign", "sigstore:asks.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no trust configuration" in alone(done.stderr)
    assert not (asking / "evidence").exists()


def test_a_job_s_run_is_signed_and_its_candidate_cannot_ask_for_the_identity(asking, services, tmp_path):
    (asking / "ours.json").write_text(services.trust_config())
    done = light(asking, "run", "contracts", "--candidate", "asks.py", "--sign", "sigstore:ours.json", "--no-isolate")
    assert done.returncode == 0, done.stderr
    calls = [json.loads(line) for line in (asking / "seen.jsonl").read_text().splitlines()]
    names = {name for call in calls for name in call["names"]}
    assert "GITHUB_ACTIONS" in names
    assert not names & set(keyless.REQUESTS)
    assert min(at for _, at in services.asked) > max(call["at"] for call in calls)
    by = ["--identity", WORKFLOW, "--trust-root", services.world.trusted(tmp_path / "root.json"), "--require-signature"]
    verified = light(asking, "verify", "evidence", *by)
    assert verified.returncode == 0, verified.stdout


def test_where_no_service_answers_the_run_is_sealed_and_not_signed(asking, services):
    done = light(asking, "run", "contracts", "--candidate", "asks.py", "--sign", "sigstore", "--no-isolate")
    ended = time.time()
    (asked,) = services.asked
    run = store.sealed(asking / "evidence")
    assert done.returncode == 2
    assert f"{run.name} is sealed and not signed: Failed to refresh TUF metadata: " in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "FALSIFY-DOUBLES-001" in done.stdout  # what the run found is not lost
    assert (asked[0], ended - asked[1] < 20) == ("/token", True)
    assert check(run) == []
    assert not (run / keyless.NAME).exists()


ASKS = """import json, os, time
from pathlib import Path

def double(x):
    with (Path(__file__).parent / "seen.jsonl").open("a") as seen:
        seen.write(json.dumps({"at": time.time(), "names": sorted(os.environ)}) + chr(10))
    return x + x
"""


@pytest.fixture
def asking(tmp_path: Path) -> Path:
    """A contract and a candidate that writes down when it was called, and with which environment."""
    folder = tmp_path / "asking"
    folder.mkdir()
    contract(folder / "contracts", "doubling", ["doubles"])
    (folder / "asks.py").write_text(ASKS)
    return folder


def alone(text: str) -> str:
    """The only line of a text."""
    (line,) = text.splitlines()
    return line
