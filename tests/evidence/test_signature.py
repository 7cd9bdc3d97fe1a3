"""Signatures: who signed which candidate's evidence; a stripped, foreign or copied one is a fault."""

from __future__ import annotations

import base64
import json
import shutil
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness.errors import UserError
from harness.evidence import manifest, signature, store
from tests.support.command import light

RFC8032 = (
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
)
"""The first test key of RFC 8032, section 7.1: secret and public."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two keys, `ours` and `theirs`."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        assert light(folder, "keygen", name).returncode == 0
    return folder


@pytest.fixture
def run(lab, keys: Path, tmp_path: Path) -> Path:
    """A sealed run, signed by `ours`."""
    folder, found = lab
    copy = tmp_path / found["run"]
    shutil.copytree(folder / found["evidence"], copy)
    signature.sign(copy, signature.private_key(str(keys / "ours.key")))
    return copy


def faults(run: Path, keys: Path, *names: str, required: bool = True) -> list[str]:
    given = tuple(str(keys / f"{name}.pub") for name in names)
    return signature.faults(run, signature.Signers(given, required=required))


def test_a_signed_run_is_verified_and_opens_the_gate_with_the_right_key_alone(lab, keys, tmp_path):
    folder, _ = lab
    words = [
        "run",
        "contracts",
        "--candidate",
        "good.py",
        "--evidence",
        str(tmp_path),
        "--sign",
        str(keys / "ours.key"),
    ]
    assert light(folder, *words).returncode == 0
    held = str(store.sealed(tmp_path))
    for code, name in ((0, "ours"), (1, "theirs")):
        asked = ["--key", str(keys / f"{name}.pub"), "--require-signature"]
        verified = light(folder, "verify", held, *asked)
        assert (verified.returncode, "signed by" in verified.stdout) == (code, bool(code)), verified.stdout
        gate = light(folder, "gate", held, "--target", "doubling", "--candidate", "good.py", *asked)
        assert gate.returncode == (1 if code else 3), gate.stdout  # one criterion has no claim yet
    assert light(folder, "verify", held, "--require-signature").returncode == 2


def test_the_statement_names_the_candidate_and_the_manifest(run):
    envelope = json.loads((run / signature.NAME).read_text())
    said = json.loads(base64.b64decode(envelope["payload"]))
    body = store.read_json(run / "run.json")
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["subject"] == [
        {"name": "good.py", "digest": {"sha256": body["candidate"]["sha256"]}},
        {"name": "manifest.json", "digest": {"sha256": store.read_json(run / manifest.NAME)["digest"]}},
    ]


def test_the_encoding_is_dsse_s_own_example():
    """The example of the DSSE protocol: type and body with their lengths."""
    assert signature._encoded(b"hello world") == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"


def test_the_key_id_is_the_public_key_s_digest():
    import hashlib

    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(RFC8032[0]))
    assert signature.key_id(key.public_key()) == hashlib.sha256(bytes.fromhex(RFC8032[1])).hexdigest()


def test_a_stripped_signature_is_a_fault_where_one_is_required(run, keys):
    (run / signature.NAME).unlink()
    assert "the run is not signed" in faults(run, keys, "ours")[0]
    assert faults(run, keys, "ours", required=False) == []


def test_any_of_several_keys_will_do_and_no_other(run, keys):
    assert faults(run, keys, "theirs", "ours") == []
    assert "expected one of" in faults(run, keys, "theirs")[0]


def test_a_signature_of_another_run_is_a_fault(run, keys, lab, tmp_path):
    folder, _ = lab
    light(folder, "run", "contracts", "--candidate", "bad.py", "--evidence", str(tmp_path / "e"))
    other = store.sealed(tmp_path / "e")
    shutil.copy(run / signature.NAME, other / signature.NAME)
    assert "signs another run than this one" in faults(other, keys, "ours")[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e.update(payload=base64.b64encode(base64.b64decode(e["payload"]) + b" ").decode()),
        lambda e: e["signatures"][0].update(sig=base64.b64encode(bytes(64)).decode()),
        lambda e: e["signatures"][0].update(sig="?"),
        lambda e: e.update(payload="not base64"),
        lambda e: e.update(signatures=[]),
        lambda e: e.update(payloadType="text/plain"),
        lambda e: e.pop("payload"),
    ],
)
def test_a_changed_envelope_is_a_fault(run, keys, change):
    envelope = json.loads((run / signature.NAME).read_text())
    change(envelope)
    store.write_json(run / signature.NAME, envelope)
    assert faults(run, keys, "ours")


def test_keys_are_private_and_never_overwritten(keys):
    assert stat.S_IMODE((keys / "ours.key").stat().st_mode) == 0o600
    before = (keys / "ours.key").read_bytes()
    again = light(keys, "keygen", "ours")
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert (keys / "ours.key").read_bytes() == before


def test_what_is_no_key_is_named(keys, tmp_path):
    (tmp_path / "text").write_text("no key")
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "curve.key").write_bytes(curve)
    for name in ("text", "curve.key", "none"):
        with pytest.raises(UserError, match=name):
            signature.private_key(str(tmp_path / name))
        with pytest.raises(UserError, match=name):
            signature.public_key(str(tmp_path / name))
    with pytest.raises(UserError, match=r"ours\.key: expected a public"):
        signature.public_key(str(keys / "ours.key"))


def test_a_key_that_cannot_be_read_is_told_before_anything_runs(lab, tmp_path):
    folder, _ = lab
    done = light(folder, "run", "contracts", "--evidence", str(tmp_path / "e"), "--sign", "none.key")
    assert done.returncode == 2
    assert not (tmp_path / "e").exists()
