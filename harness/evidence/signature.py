"""Sign a sealed run, and check signatures: Ed25519 over an in-toto statement in a DSSE envelope.

The statement's subjects are the candidate, by the SHA-256 of its source, and the run's manifest. A signature proves
that the holder of a key had this evidence and signed it; it does not prove that the run took place.
Source: in-toto Attestation Framework v1 (Statement), DSSE v1 (envelope, pre-authentication encoding), RFC 8032.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from harness.contract.claim import canonical
from harness.errors import UserError
from harness.evidence import keyless, manifest, store, tree
from harness.evidence.body import RunBody

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NAME = tree.SIGNATURE
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:harness:evidence:v1"
LACKING = "signatures need the package `cryptography`; pip install 'harness[sign]'"


class Signed(TypedDict):
    """One signature of an envelope; `sig` is base64."""

    keyid: str
    sig: str


class Envelope(TypedDict):
    """The content of signature.json; `payload` is base64."""

    payloadType: str
    payload: str
    signatures: list[Signed]


def generate(name: Path) -> tuple[Path, Path, str]:
    """Write a new key to NAME.key, readable by its owner alone, and its public half to NAME.pub; returns its id too.

    Raises: UserError if either file exists or cannot be written.
    """
    serialization, ed25519 = _library()
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    secret, shown = name.with_name(name.name + ".key"), name.with_name(name.name + ".pub")
    try:
        for path, content, mode in ((secret, private, 0o600), (shown, public, 0o644)):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
    except FileExistsError as there:
        raise UserError(f"{there.filename}: is there already; a key is never overwritten, give another name") from None
    except OSError as problem:
        raise UserError(f"{problem.filename}: {problem.strerror}") from None
    return secret, shown, key_id(key.public_key())


def private_key(path: str) -> Ed25519PrivateKey:
    """Read a key. Raises: UserError if it is no Ed25519 key without a password."""
    serialization, ed25519 = _library()
    with contextlib.suppress(ValueError, TypeError):
        found = serialization.load_pem_private_key(_bytes(path), None)
        if isinstance(found, ed25519.Ed25519PrivateKey):
            return found
    raise UserError(f"{path}: expected an Ed25519 key in PEM without a password, as `harness keygen` writes it")


def public_key(path: str) -> Ed25519PublicKey:
    """Read the public half of a key. Raises: UserError if it is none."""
    serialization, ed25519 = _library()
    with contextlib.suppress(ValueError, TypeError):
        found = serialization.load_pem_public_key(_bytes(path))
        if isinstance(found, ed25519.Ed25519PublicKey):
            return found
    raise UserError(f"{path}: expected a public Ed25519 key in PEM, the .pub that `harness keygen` writes")


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 of the public key's 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def statement(run: Path) -> dict[str, Any]:
    """What is signed: the candidate and the manifest as subjects, and what the run says of itself."""
    body: RunBody = store.read_json(run / "run.json")
    candidate, sealed = body["candidate"], store.read_json(run / manifest.NAME)["digest"]
    subjects = [{"name": candidate["spec"], "digest": {"sha256": candidate["sha256"]}}] if candidate["sha256"] else []
    return {
        "_type": STATEMENT,
        "subject": [*subjects, {"name": manifest.NAME, "digest": {"sha256": sealed}}],
        "predicateType": PREDICATE,
        "predicate": {
            "run": body["id"],
            "began": body["began"],
            "counts": body["counts"],
            "contracts": {contract["id"]: contract["sha256"] for contract in body["contracts"]},
            "code": body["code"],
        },
    }


def sign(run: Path, key: Ed25519PrivateKey) -> str:
    """Write the run's signature.json; returns the key's id."""
    payload = canonical(statement(run))
    signed: Signed = {
        "keyid": key_id(key.public_key()),
        "sig": base64.b64encode(key.sign(_encoded(payload))).decode(),
    }
    envelope: Envelope = {
        "payloadType": PAYLOAD,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [signed],
    }
    store.write_json(run / NAME, envelope)
    return signed["keyid"]


class Signers(NamedTuple):
    """Who may have signed a run, and whether anyone must have."""

    keys: tuple[str, ...] = ()
    """Files of public keys."""
    identities: tuple[keyless.Signer, ...] = ()
    required: bool = False
    trusted_root: str | None = None
    """The trusted_root.json of the Sigstore that certified the identities; None: the public one."""


def faults(run: Path, signers: Signers) -> list[str]:
    """Why the run is not signed by one of the signers; nothing if it is, or has no signature and needs none."""
    by_key, by_identity = (run / NAME).is_file(), (run / keyless.NAME).is_file()
    if not (by_key or by_identity):
        return [f"{run / NAME}: not found; the run is not signed"] if signers.required else []
    tried = [_by_key(run, signers.keys)] if by_key and signers.keys else []
    if by_identity and signers.identities:
        verifier = keyless.verifier(signers.trusted_root)
        tried += [keyless.faults(run, statement(run), signer, verifier) for signer in signers.identities]
    if [] in tried:
        return []
    found = [fault for each in tried for fault in each]
    if not found and signers.required:
        return [f"{run}: signed neither by one of the keys given nor by one of the identities given"]
    return found


def _by_key(run: Path, keys: Sequence[str]) -> list[str]:
    path = run / NAME
    known = {key_id(key): key for key in map(public_key, keys)}
    try:
        envelope: Envelope = store.read_json(path)
        payload = base64.b64decode(envelope["payload"], validate=True)
        said = json.loads(payload)
        pairs = [(each["keyid"], base64.b64decode(each["sig"], validate=True)) for each in envelope["signatures"]]
    except (UserError, ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        return [f"{path}: not a signature; it was changed after signing"]
    if envelope["payloadType"] != PAYLOAD or said != statement(run):
        return [f"{path}: signs another run than this one"]
    if not any(name in known and _holds(known[name], sig, payload) for name, sig in pairs):
        names = ", ".join(name[:16] for name, _ in pairs)
        return [f"{path}: signed by {names or 'nobody'}, expected one of {', '.join(k[:16] for k in known)}"]
    return []


def _holds(key: Ed25519PublicKey, sig: bytes, payload: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(sig, _encoded(payload))
    except InvalidSignature:
        return False
    return True


def _encoded(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding of an in-toto payload."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as problem:
        raise UserError(f"{path}: {problem.strerror}; expected a key file") from None


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise UserError(LACKING) from None
    return serialization, ed25519
