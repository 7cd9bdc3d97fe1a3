"""Sign a sealed run without a key of one's own, and check such signatures: Sigstore, for keyless CI.

Sigstore's authority certifies a key of one use for the identity that the CI vouches for (OpenID Connect), and its
public log keeps the signature. What is signed is the in-toto statement of `harness.evidence.signature`.
Source: sigstore-python 4; the Sigstore bundle, version 0.3.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
        """A fresh token. Raises: UserError if the CI gives none."""
        from id import IdentityError, detect_credential

        os.environ.update(self._held)
        try:
            found = detect_credential("sigstore")
        except IdentityError as problem:
            raise UserError(f"--sign sigstore: the CI gave no identity: {problem}") from None
        finally:
            for name in self._held:
                os.environ.pop(name, None)
        if not found:
            raise UserError("--sign sigstore: the CI gave no identity")
        return str(found)


def sign(run: Path, statement: dict[str, Any], requests: Requests, trust: ClientTrustConfig | None = None) -> None:
    """Write the run's bundle; `trust` names the services, by default Sigstore's public ones.

    Raises: UserError if the CI or a service refuses; the run stays sealed and unsigned.
    """
    dsse, errors, models, oidc, signing = _library()
    try:
        context = signing.SigningContext.from_trust_config(trust or models.ClientTrustConfig.production())
        with context.signer(oidc.IdentityToken(requests.token())) as signer:
            bundle = signer.sign_dsse(dsse.Statement(canonical(statement)))
    except (errors.Error, oidc.IdentityError, signing.ExpiredCertificate, OSError, ValueError) as problem:
        text = " ".join(str(problem).split())
        raise UserError(f"--sign sigstore: {run} is sealed and not signed: {text[:500]}") from None
    (run / NAME).write_text(bundle.to_json(), encoding="utf-8")


def faults(run: Path, statement: dict[str, Any], signer: Signer, verifier: Verifier | None = None) -> list[str]:
    """Why the run's bundle is not a signature of this run by the signer; nothing if it is.

    `verifier` holds the trusted root, by default Sigstore's public one as this package knows it: no network is asked.
    """
    import sigstore.verify as verifying

    _, errors, models, _, _ = _library()
    path = run / NAME
    try:
        bundle = models.Bundle.from_json(path.read_bytes())
    except (models.InvalidBundle, errors.Error, ValueError, OSError) as problem:
        return [f"{path}: no bundle of Sigstore: {' '.join(str(problem).split())[:300]}"]
    policy = verifying.policy.Identity(identity=signer.identity, issuer=signer.issuer)
    try:
        found = (verifier or verifying.Verifier.production(offline=True)).verify_dsse(bundle, policy)
    except errors.Error as problem:
        return [f"{path}: not a signature by {signer.identity}: {' '.join(str(problem).split())[:300]}"]
    expected = ("application/vnd.in-toto+json", canonical(statement))
    return [] if found == expected else [f"{path}: signs another run than this one"]


def _library() -> tuple[Any, Any, Any, Any, Any]:
    try:
        from sigstore import dsse, errors, models, oidc
        from sigstore import sign as signing
    except ImportError:
        raise UserError(LACKING) from None
    return dsse, errors, models, oidc, signing
