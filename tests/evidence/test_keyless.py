"""Keyless signatures: the real client and verifier of Sigstore, in a small Sigstore of our own."""

from __future__ import annotations

import base64
import json
import shutil
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from harness.commands.main import main
from harness.evidence import keyless, signature
from harness.evidence.verify import check
from tests.support.command import light
from tests.support.sigstore_world.world import BEGAN, GITHUB, LIFE, WORKFLOW, Holder, World

MAIL = Holder("someone@example.org", "https://accounts.example.org")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    """Our Sigstore and another one."""
    return Worlds(tmp_path_factory.mktemp("worlds"))


class Worlds:
    """Two Sigstores and the files of their trusted roots."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.theirs = World(), World()
        self.our_root = self.ours.trusted(folder / "ours.json")
        self.their_root = self.theirs.trusted(folder / "theirs.json")


@pytest.fixture
def run(lab, worlds: Worlds, tmp_path: Path) -> Path:
    """A sealed run, signed by a workflow."""
    folder, found = lab
    copy = tmp_path / found["run"]
    shutil.copytree(folder / found["evidence"], copy)
    (copy / keyless.NAME).write_text(worlds.ours.bundle(signature.statement(copy)))
    return copy


def faults(run: Path, root: str, identity: str = WORKFLOW, issuer: str = GITHUB, *keys: str) -> list[str]:
    return signature.faults(run, signature.Signers(keys, (keyless.Signer(identity, issuer),), True, root))


def test_a_rightly_signed_run_has_no_fault(run, worlds):
    assert check(run) == []
    assert faults(run, worlds.our_root) == []


def test_a_mail_address_may_sign(run, worlds):
    (run / keyless.NAME).write_text(worlds.ours.bundle(signature.statement(run), MAIL))
    assert faults(run, worlds.our_root, *MAIL[:2]) == []


def test_another_run_s_bundle_is_a_fault(run, worlds):
    """Another candidate, another manifest, or a run that tells something else of itself."""
    said = signature.statement(run)
    candidate, sealed = ({**subject, "digest": {"sha256": "0" * 64}} for subject in said["subject"])
    for other in (
        {**said, "subject": [candidate, said["subject"][1]]},
        {**said, "subject": [said["subject"][0], sealed]},
        {**said, "predicate": {**said["predicate"], "run": "another"}},
    ):
        (run / keyless.NAME).write_text(worlds.ours.bundle(other))
        assert one(faults(run, worlds.our_root)).endswith("signs another run than this one")


def test_another_identity_and_another_issuer_are_faults(run, worlds):
    fork = WORKFLOW.replace("/o/", "/fork/")
    assert f"not a signature by {fork}" in one(faults(run, worlds.our_root, fork))
    assert "OIDCIssuer does not match" in one(faults(run, worlds.our_root, WORKFLOW, MAIL.issuer))


def test_a_bundle_of_another_sigstore_is_a_fault(run, worlds):
    assert "not a signature by" in one(faults(run, worlds.their_root))
    (run / keyless.NAME).write_text(worlds.theirs.bundle(signature.statement(run)))
    assert "not a signature by" in one(faults(run, worlds.our_root))
    assert faults(run, worlds.their_root) == []


def test_each_service_s_key_is_needed(run, worlds, tmp_path):
    """A trusted root in which one service's key alone is another one's takes nothing."""
    for service in ("tlogs", "ctlogs", "certificateAuthorities"):
        mixed = {**worlds.ours.trusted_root(), service: worlds.theirs.trusted_root()[service]}
        (tmp_path / "mixed.json").write_text(json.dumps(mixed))
        assert "not a signature by" in one(faults(run, str(tmp_path / "mixed.json"))), service


@pytest.mark.parametrize("late", [-timedelta(seconds=1), LIFE + timedelta(seconds=1)])
def test_a_certificate_that_did_not_hold_when_the_log_took_the_signature_is_a_fault(run, worlds, late):
    (run / keyless.NAME).write_text(worlds.ours.bundle(signature.statement(run), at=BEGAN + late))
    assert "cert is not valid at validation time" in one(faults(run, worlds.our_root))


def _other_bytes(text: str) -> str:
    data = bytearray(base64.b64decode(text))
    data[-1] ^= 1
    return base64.b64encode(data).decode()


def _payload(envelope: dict) -> None:
    said = json.loads(base64.b64decode(envelope["payload"]))
    said["predicate"]["counts"] = {"DISCHARGED": 2}
    envelope["payload"] = base64.b64encode(json.dumps(said).encode()).decode()


def _signature(envelope: dict) -> None:
    envelope["signatures"][0]["sig"] = _other_bytes(envelope["signatures"][0]["sig"])


def _kind(envelope: dict) -> None:
    envelope["payloadType"] = "text/plain"


@pytest.mark.parametrize("change", [_payload, _signature, _kind])
def test_a_changed_envelope_is_a_fault(run, worlds, change):
    bundle = json.loads((run / keyless.NAME).read_text())
    change(bundle["dsseEnvelope"])
    (run / keyless.NAME).write_text(json.dumps(bundle))
    assert "DSSE: invalid signature" in one(faults(run, worlds.our_root))


def test_a_log_s_promise_of_another_time_is_a_fault(run, worlds):
    """The time is the log's word: a certificate is not made to hold by writing another time."""
    bundle = json.loads((run / keyless.NAME).read_text())
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    for seconds in ("1", str(1 << 63)):
        entry["integratedTime"] = str(int(entry["integratedTime"]) + int(seconds))
        (run / keyless.NAME).write_text(json.dumps(bundle))
        assert "not a signature by" in one(faults(run, worlds.our_root))


GARBAGE = {
    "no JSON": b"no JSON",
    "empty": b"",
    "no text": bytes(range(256)),
    "no object": b"[]",
    "no bundle": b"{}",
    "nested": b"[" * 3_000_000,
    "closed": b'{"a":' * 500_000 + b"1" + b"}" * 500_000,
    "number": b'{"mediaType": ' + b"9" * 3_000_000 + b"}",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_one_fault_and_soon(run, worlds, name):
    (run / keyless.NAME).write_bytes(GARBAGE[name])
    began = time.monotonic()
    fault = one(faults(run, worlds.our_root))
    assert time.monotonic() - began < 2
    assert str(run / keyless.NAME) in fault
    assert len(fault) < 700


def test_ten_megabytes_are_not_read(run, worlds):
    (run / keyless.NAME).write_bytes(b"[" * 10_000_000)
    assert "10000000 bytes, expected at most" in one(faults(run, worlds.our_root))


def test_a_bundle_without_what_a_certificate_must_have_is_a_fault(run, worlds):
    """Of an older kind of bundle the library looks into the certificate at once, and asks for what it may lack."""
    bundle = json.loads((run / keyless.NAME).read_text())
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    bare = base64.b64encode(worlds.ours.bare().public_bytes(Encoding.DER)).decode()
    del bundle["verificationMaterial"]["certificate"]
    bundle["verificationMaterial"]["x509CertificateChain"] = {"certificates": [{"rawBytes": bare}]}
    (run / keyless.NAME).write_text(json.dumps(bundle))
    assert "no bundle of Sigstore" in one(faults(run, worlds.our_root))


def test_a_run_with_both_kinds_passes_by_either_and_by_no_other_kind_than_asked(run, worlds, keys):
    ours, theirs = (str(keys / f"{name}.pub") for name in ("ours", "theirs"))
    stranger = Holder("https://elsewhere.example/ci")
    signature.sign(run, signature.private_key(str(keys / "ours.key")))
    assert faults(run, worlds.our_root, WORKFLOW, GITHUB, theirs) == []
    assert faults(run, worlds.our_root, stranger.identity, GITHUB, ours) == []
    assert len(faults(run, worlds.our_root, stranger.identity, GITHUB, theirs)) == 2
    (run / signature.NAME).rename(run / "kept")
    assert "signed neither by" in one(signature.faults(run, signature.Signers((ours,), required=True)))
    (run / keyless.NAME).unlink()
    (run / "kept").rename(run / signature.NAME)
    assert "signed neither by" in one(faults(run, worlds.our_root))


def test_verify_and_gate_take_the_identity_alone(run, worlds, lab, home):
    folder, _ = lab
    root = ["--trust-root", worlds.our_root, "--require-signature"]
    for code, name in ((0, WORKFLOW), (1, WORKFLOW.replace("/o/", "/fork/"))):
        verified = light(folder, "verify", str(run), "--identity", name, *root)
        assert (verified.returncode, "not a signature by" in verified.stdout) == (code, bool(code)), verified.stdout
        asked = ["--target", "doubling", "--candidate", "good.py", "--identity", name, *root]
        gate = light(folder, "gate", str(run), *asked)
        assert gate.returncode == (1 if code else 3), gate.stdout  # one criterion has no claim yet


def test_the_public_root_knows_nothing_of_our_authority_and_says_nothing_else(run, lab, home):
    public = light(lab[0], "verify", str(run), "--identity", WORKFLOW)
    assert (public.returncode, public.stderr) == (1, "")
    assert "cert" in public.stdout.splitlines()[0]


def test_words_that_name_nobody_are_told(run, worlds, capsys):
    for words, problem in (
        (["--identity", WORKFLOW, "--trust-root", __file__], f"{__file__}: no trusted root of Sigstore"),
        (["--identity", WORKFLOW, "--trust-root", "none.json"], "none.json: no trusted root of Sigstore"),
        (["--trust-root", worlds.our_root], "--trust-root: found no --identity"),
        (["--issuer", GITHUB], "--issuer: found no --identity"),
    ):
        assert main(["verify", str(run), *words]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert problem in alone(told.err)


def test_without_the_package_one_line_says_what_to_install(run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sigstore", None)
    assert main(["verify", str(run), "--identity", WORKFLOW]) == 2
    assert "pip install 'harness[sigstore]'" in alone(capsys.readouterr().err)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing that the library keeps of Sigstore's public root is of this machine."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two keys, `ours` and `theirs`."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        signature.generate(folder / name)
    return folder


def alone(text: str) -> str:
    """The only line of a text."""
    (line,) = text.splitlines()
    return line


def one(faults: list[str]) -> str:
    """The only fault, of one line."""
    (fault,) = faults
    assert "\n" not in fault
    return fault
