"""A run that is killed, and `harness run --resume` after it."""

import json
import re
import shutil
import signal
import subprocess
import time

import pytest

from harness.errors import UserError
from harness.evidence import store, verify
from harness.falsifiers.itself.shop import CANDIDATE
from harness.subject.identity import identity
from tests.support.command import HARNESS, as_json, light
from tests.support.doubling import mixed
from tests.support.repository import NUMPY_ALONE, environment


def test_kill_minus_nine_loses_no_finished_claim_and_resume_completes(tmp_path):
    mixed(tmp_path, "doubles", "slowly")
    command = [*HARNESS, "run", "c", "--candidate", "good.py", "-j", "2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(**NUMPY_ALONE), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    root = tmp_path / "evidence"
    ends = time.monotonic() + 60
    while not list(root.glob("*/claims/FALSIFY-DOUBLES-001")) and time.monotonic() < ends:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (partial,) = root.iterdir()
    assert partial.name.endswith(".partial")
    kept = (partial / "claims/FALSIFY-DOUBLES-001/result.json").stat().st_mtime_ns
    assert not (partial / "claims/FALSIFY-SLOWLY-001").exists()
    assert light(tmp_path, "verify", str(partial)).returncode == 2
    began = json.loads((partial / "run.json").read_text())["began"]
    done = light(tmp_path, "run", "--resume", str(partial), "--json")
    assert done.returncode == 0, done.stderr
    assert as_json(done)["counts"] == {"DISCHARGED": 2}
    run = store.sealed(root)
    assert (run / "claims/FALSIFY-DOUBLES-001/result.json").stat().st_mtime_ns == kept
    assert json.loads((run / "run.json").read_text())["began"] == began  # as old as its first claim
    assert verify.check(run) == []


def test_resume_refuses_when_the_candidate_changed(tmp_path):
    mixed(tmp_path, "doubles")
    assert light(tmp_path, "run", "c", "--candidate", "good.py").returncode == 0
    run = store.sealed(tmp_path / "evidence")
    partial = run.with_name(run.name + ".partial")
    run.rename(partial)
    body = json.loads((partial / "run.json").read_text())
    store.write_json(partial / "run.json", {**body, "status": "running"})
    other = light(tmp_path, "run", "--resume", str(partial), "--seed", "5")
    assert other.returncode == 2
    assert "found seed 5, but the run began with 0" in other.stderr
    (tmp_path / "good.py").write_text(CANDIDATE + "# edited\n", encoding="utf-8")
    done = light(tmp_path, "run", "--resume", str(partial))
    assert done.returncode == 2
    assert "candidate changed since the run began" in done.stderr


REWRITER = """
import json, pathlib
from harness.evidence import manifest, store
for claim in pathlib.Path("evidence").glob("*.partial/claims/FALSIFY-DOUBLES-001"):
    page = claim / "README.md"
    if "rewritten" not in page.read_text():
        page.write_text(page.read_text() + "rewritten")
        store.write_json(claim / store.SEAL, {"files": manifest.digests(claim, skip=(store.SEAL,))})
"""


def test_a_claim_that_is_kept_and_then_rewritten_is_not_sealed(tmp_path):
    """The second claim's candidate writes into the first one's files, digest included, at its import."""
    mixed(tmp_path, "doubles", "slowly")
    assert light(tmp_path, "run", "c", "--candidate", "good.py").returncode == 0
    run = store.sealed(tmp_path / "evidence")
    partial = run.with_name(run.name + ".partial")
    run.rename(partial)
    body = json.loads((partial / "run.json").read_text())
    shutil.rmtree(partial / "claims" / "FALSIFY-SLOWLY-001")
    (tmp_path / "good.py").write_text(CANDIDATE + REWRITER, encoding="utf-8")
    candidate = identity("good.py", tmp_path)
    store.write_json(partial / "run.json", {**body, "status": "running", "candidate": candidate})
    done = light(tmp_path, "run", "--resume", str(partial))
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "changed after the claim ended" in line]
    assert re.search(r"FALSIFY-DOUBLES-001/README.md: .*\(SHA-256 [0-9a-f]{12}, now [0-9a-f]{12}\)", line), line
    assert partial.is_dir()


def test_a_kept_claim_that_is_gone_is_not_sealed(tmp_path):
    run = store.Run(tmp_path / "x.partial")
    run.deposit("A", {"result.json": b"{}"})
    again = store.Run(run.folder)
    again.hold()
    assert again.held == {"A"}
    shutil.rmtree(run.folder / "claims" / "A")
    with pytest.raises(UserError, match=r"SHA-256 [0-9a-f]{12}, now none"):
        again.seal({})


def test_a_run_has_one_writer_at_a_time(tmp_path):
    mixed(tmp_path, "doubles", "slowly")
    command = [*HARNESS, "run", "c", "--candidate", "good.py", "-j", "1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(**NUMPY_ALONE), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    root = tmp_path / "evidence"
    ends = time.monotonic() + 60
    while not list(root.glob("*.partial/run.json")) and time.monotonic() < ends:
        time.sleep(0.02)
    (partial,) = root.glob("*.partial")
    second = light(tmp_path, "run", "--resume", str(partial))
    assert process.poll() is None, "the first run ended before the second could be refused"
    assert second.returncode == 2
    assert f"process {process.pid} is writing this run" in second.stderr
    assert process.wait() == 0
    assert verify.check(store.sealed(root)) == []
