"""A small Sigstore of our own: authority, certificate log, signature log and trusted root, made in memory.

It signs what Sigstore's services sign, so the real client and the real verifier of the package `sigstore` take it for
a private instance. Sources: Fulcio's certificate specification and OID list; RFC 6962 (certificate timestamps, Merkle
trees); Rekor v1 (`dsse` 0.0.1, signed entry timestamp); C2SP signed-note (checkpoints).
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sigstore import dsse
from sigstore.models import Bundle, TransparencyLogEntry

from harness.contract.claim import canonical

WORKFLOW = "https://github.com/o/r/.github/workflows/check.yml@refs/heads/main"
GITHUB = "https://token.actions.githubusercontent.com"
ISSUER, ISSUER_DER = (x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{n}") for n in (1, 8))
TIMESTAMPS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
LIFE = timedelta(minutes=10)
"""How long a certificate of Fulcio holds."""
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
OCTETS, TEXT = 4, 12
"""Tags of ASN.1."""


class Holder(NamedTuple):
    """Whom a certificate is for, by whom vouched, and from when it holds."""

    identity: str = WORKFLOW
    issuer: str = GITHUB
    began: datetime = BEGAN


class World:
    """The services' keys. Two worlds differ in their keys alone."""

    def __init__(self) -> None:
        self._authority, self._certificates, self._entries = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self.root = self._root()

    def trusted_root(self) -> dict[str, Any]:
        """The content of trusted_root.json."""
        name = {"organization": "a world", "commonName": "its authority"}
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log(self._entries)],
            "certificateAuthorities": [
                {
                    "subject": name,
                    "certChain": {"certificates": [{"rawBytes": _b64(self.root.public_bytes(Encoding.DER))}]},
                    "validFor": {"start": "2024-01-01T00:00:00Z"},
                }
            ],
            "ctlogs": [_log(self._certificates)],
        }

    def trusted(self, file: Path) -> str:
        """Write trusted_root.json; returns its path."""
        file.write_text(json.dumps(self.trusted_root()), encoding="utf-8")
        return str(file)

    def certify(self, key: ec.EllipticCurvePublicKey, holder: Holder) -> x509.Certificate:
        """A certificate of ten minutes, with the timestamp of the certificates' log in it."""
        draft = self._draft(key, holder)
        before = draft.sign(self._authority, hashes.SHA256()).tbs_certificate_bytes
        listed = _der(OCTETS, self._timestamp(before, holder.began))
        return draft.add_extension(x509.UnrecognizedExtension(TIMESTAMPS, listed), False).sign(
            self._authority, hashes.SHA256()
        )

    def bare(self) -> x509.Certificate:
        """A certificate that says nothing of its use."""
        key = ec.generate_private_key(ec.SECP256R1())
        return _builder(key.public_key(), _name("bare"), BEGAN, LIFE).sign(self._authority, hashes.SHA256())

    def logged(self, payload: bytes, signature: bytes, certificate: x509.Certificate, at: datetime) -> dict[str, Any]:
        """What the signatures' log answers: the entry, integrated at `at`, the only one of its tree."""
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(payload + signature).hexdigest()},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [
                {"signature": _b64(signature), "verifier": _b64(certificate.public_bytes(Encoding.PEM))},
            ],
        }
        body = canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        promised = {
            "body": _b64(body),
            "integratedTime": int(at.timestamp()),
            "logID": _id(self._entries).hex(),
            "logIndex": 0,
        }
        leaf = hashlib.sha256(b"\0" + body).digest()
        proof = {
            "logIndex": 0,
            "treeSize": 1,
            "rootHash": leaf.hex(),
            "hashes": [],
            "checkpoint": self._checkpoint(leaf),
        }
        promise = {"signedEntryTimestamp": _b64(_sign(self._entries, canonical(promised))), "inclusionProof": proof}
        return {"00": {**promised, "verification": promise}}

    def bundle(
        self, statement: dict[str, Any], holder: Holder | None = None, at: datetime = BEGAN + timedelta(minutes=1)
    ) -> str:
        """The bundle of a signature over the statement, made at `at`, as JSON."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.certify(key.public_key(), holder or Holder())
        envelope = dsse._sign(key, dsse.Statement(canonical(statement)))
        answer = self.logged(canonical(statement), envelope.signature, certificate, at)
        return Bundle._from_parts(certificate, envelope, TransparencyLogEntry._from_v1_response(answer)).to_json()

    def _root(self) -> x509.Certificate:
        public = self._authority.public_key()
        return (
            _builder(public, _name("its authority"), BEGAN, timedelta(days=36500))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            .add_extension(_usage(signs_certificates=True), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .sign(self._authority, hashes.SHA256())
        )

    def _draft(self, key: ec.EllipticCurvePublicKey, holder: Holder) -> x509.CertificateBuilder:
        uri = "://" in holder.identity
        name = x509.UniformResourceIdentifier(holder.identity) if uri else x509.RFC822Name(holder.identity)
        text = holder.issuer.encode()
        return (
            _builder(key, x509.Name([]), holder.began, LIFE)
            .add_extension(_usage(signs_certificates=False), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority.public_key()), False)
            .add_extension(x509.SubjectAlternativeName([name]), True)
            .add_extension(x509.UnrecognizedExtension(ISSUER, text), False)
            .add_extension(x509.UnrecognizedExtension(ISSUER_DER, _der(TEXT, text)), False)
        )

    def _timestamp(self, certificate: bytes, at: datetime) -> bytes:
        """The list of one signed certificate timestamp (RFC 6962, 3.2 and 3.3), as TLS encodes it."""
        when = int(at.timestamp() * 1000)
        entry = _id(self._authority) + len(certificate).to_bytes(3, "big") + certificate
        signature = _sign(self._certificates, struct.pack("!BBQH", 0, 0, when, 1) + entry + bytes(2))
        signed = struct.pack("!BBH", 4, 3, len(signature)) + signature
        one = struct.pack("!B32sQH", 0, _id(self._certificates), when, 0) + signed
        return struct.pack("!HH", len(one) + 2, len(one)) + one

    def _checkpoint(self, root: bytes) -> str:
        """A signed note: the log's name, its size and its root."""
        note = f"log.example - 1\n1\n{_b64(root)}\n"
        signed = _id(self._entries)[:4] + _sign(self._entries, note.encode())
        return f"{note}\n\u2014 log.example {_b64(signed)}\n"


def _builder(
    key: ec.EllipticCurvePublicKey, subject: x509.Name, began: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_name("its authority"))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(began + life)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    names = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        decipher_only=False,
        **dict.fromkeys(names, False),
    )


def _log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """A log of the trusted root."""
    return {
        "baseUrl": "https://log.example",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _b64(_public(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": {"start": "2024-01-01T00:00:00Z"},
        },
        "logId": {"keyId": _b64(_id(key))},
    }


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_public(key)).digest()


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def _der(tag: int, data: bytes) -> bytes:
    """ASN.1's tag, length and content; at most 255 bytes."""
    size = bytes([len(data)]) if len(data) < 128 else bytes([129, len(data)])
    return bytes([tag]) + size + data


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
