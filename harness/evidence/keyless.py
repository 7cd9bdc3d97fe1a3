"""Sign a sealed run without a key of one's own, and check such signatures: Sigstore, for keyless CI.

Sigstore's authority certifies a key of one use for the identity that the CI vouches for (OpenID Connect), and its
public log keeps the signature. What is signed is the in-toto statement of `harness.evidence.signature`.
Source: sigstore-python 4; the Sigstore bundle, version 0.3.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from harness.contract.claim import canonical
from harness.errors import UserError
from harness.evidence import tree

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig
    from sigstore.verify import Verifier

WORD = "sigstore"
"""What stands for a key's file in `--sign`."""
NAME = tree.BUNDLE
LACKING = "signatures of Sigstore need the package `sigstore`; pip install 'harness[sigstore]'"
REQUESTS = (
    *("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "SIGSTORE_ID_TOKEN", "CIRCLE_OIDC_TOKEN_V2"),
    *("BUILDKITE_AGENT_ACCESS_TOKEN", "GOOGLE_SERVICE_ACCOUNT_NAME"),
)
"""Environment variables by which a job asks its CI for a token of its identity."""
PATIENCE_S = 60.0
"""How long the CI and Sigstore's services have to sign; the clients set no limit of their own."""
LARGEST = 1 << 22
"""Bytes of the largest bundle that is read; one over a run of 238 claims has tens of kilobytes."""


class Signer(NamedTuple):
    """One of an expected identity: a workflow's address or a mail address, and who vouched for it."""

    identity: str
    issuer: str


class Requests:
    """What this job needs to ask for its identity, taken out of the environment that candidates get."""

    def __init__(self) -> None:
        _library()
        self._held = {name: os.environ.pop(name) for name in REQUESTS if name in os.environ}
        if not self._held:
            raise UserError(
                "--sign sigstore: found no identity of a CI job; expected one of GitHub Actions (permission "
                "`id-token: write`), GitLab (SIGSTORE_ID_TOKEN), CircleCI, Buildkite or Google Cloud; with a key of "
                "your own use --sign KEY"
            )

    def token(self) -> str:
        """A fresh token. Raises: UserError or `sigstore.oidc.IdentityError` if the CI gives none."""
        oidc = _library()[2]
        os.environ.update(self._held)
        try:
            found = oidc.detect_credential()
        finally:
            for name in self._held:
                os.environ.pop(name, None)
        if not found:
            raise UserError("the CI gave no identity")
        return str(found)


def services(file: str) -> ClientTrustConfig:
    """The services of a Sigstore of one's own and what they are trusted by, as `sigstore --trust-config` reads it.

    Raises: UserError if the file names none.
    """
    _, models, _, _ = _library()
    try:
        found: ClientTrustConfig = models.ClientTrustConfig.from_json(Path(file).read_text(encoding="utf-8"))
        _ = found.signing_config, found.trusted_root
    except Exception as problem:  # noqa: BLE001  (a file of the user's, read by a library)
        raise UserError(f"--sign sigstore:{file}: no trust configuration of Sigstore: {_line(problem)}") from None
    return found


def sign(run: Path, statement: dict[str, Any], requests: Requests, trust: ClientTrustConfig | None = None) -> None:
    """Write the run's bundle; `trust` names the services, by default Sigstore's public ones. Within `PATIENCE_S`.

    Raises: UserError if the CI or a service refuses; the run stays sealed and unsigned.
    """
    dsse, models, oidc, signing = _library()
    try:
        with _within(PATIENCE_S):
            token = oidc.IdentityToken(requests.token())
            context = signing.SigningContext.from_trust_config(trust or models.ClientTrustConfig.production())
            with context.signer(token) as signer:
                bundle = signer.sign_dsse(dsse.Statement(canonical(statement)))
    except (Exception, _Late) as problem:  # noqa: BLE001  (each service has errors of its own; all mean the same here)
        raise UserError(f"--sign sigstore: {run} is sealed and not signed: {_line(problem)}") from None
    (run / NAME).write_text(bundle.to_json(), encoding="utf-8")


def verifier(trusted_root: str | None = None) -> Verifier:
    """What checks bundles against a file trusted_root.json, else against the public root that this package knows.

    No network is asked. Raises: UserError if there is no such root.
    """
    _, models, _, _ = _library()
    from sigstore.verify import Verifier

    try:
        with _quiet():
            if trusted_root is None:
                return Verifier.production(offline=True)
            return Verifier(trusted_root=models.TrustedRoot.from_file(trusted_root))
    except Exception as problem:  # noqa: BLE001  (a file of others, read by a library)
        raise UserError(f"{trusted_root or 'sigstore'}: no trusted root of Sigstore: {_line(problem)}") from None


def faults(run: Path, statement: dict[str, Any], signer: Signer, verifier: Verifier) -> list[str]:
    """Why the run's bundle is not a signature of this run by the signer; nothing if it is."""
    _, models, _, _ = _library()
    from sigstore.verify.policy import Identity

    path = run / NAME
    try:
        if (size := path.lstat().st_size) > LARGEST:
            return [f"{path}: {size} bytes, expected at most {LARGEST}; no bundle of Sigstore has that size"]
        bundle = models.Bundle.from_json(path.read_bytes())
    except Exception as problem:  # noqa: BLE001  (evidence is untrusted; whatever the library makes of it is a fault)
        return [f"{path}: no bundle of Sigstore: {_line(problem)}"]
    try:
        found = verifier.verify_dsse(bundle, Identity(identity=signer.identity, issuer=signer.issuer))
    except Exception as problem:  # noqa: BLE001  (the same)
        return [f"{path}: not a signature by {signer.identity}: {_line(problem)}"]
    expected = ("application/vnd.in-toto+json", canonical(statement))
    return [] if found == expected else [f"{path}: signs another run than this one"]


class _Late(BaseException):
    """The time is up. No library takes it for a failed attempt, after which it would try again."""


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise `_Late` in the block after some time, whatever it waits for. In the main thread alone."""

    def ring(number: int, frame: FrameType | None) -> NoReturn:
        raise _Late(f"no answer within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with _quiet():
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' warnings: what counts is told in one line."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _line(problem: BaseException) -> str:
    """The problem and what it began with, in one line."""
    first = last = problem
    while (cause := last.__cause__ or last.__context__) is not None:
        last = cause
    said, began = (" ".join(str(each).split()) or type(each).__name__ for each in (first, last))
    return (said if began in said else f"{said}: {began}")[:300]


def _library() -> tuple[Any, Any, Any, Any]:
    try:
        from sigstore import dsse, models, oidc
        from sigstore import sign as signing
    except ImportError:
        raise UserError(LACKING) from None
    return dsse, models, oidc, signing
