"""The services of `world` on this machine: a CI's identities, the authority and the signatures' log."""

from __future__ import annotations

import base64
import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.sigstore_world.world import GITHUB, WORKFLOW, Holder, World

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOSED = "http://127.0.0.1:9"
"""Where nobody listens: as a proxy, it keeps a client from the network."""


class Services:
    """A running server. `asked` holds path and time of each request; `silent` paths get no answer, `refusing` a 403."""

    def __init__(self, world: World, port: int) -> None:
        self.world, self.url = world, f"http://127.0.0.1:{port}"
        self.asked: list[tuple[str, float]] = []
        self.silent: set[str] = set()
        self.refusing: set[str] = set()
        self.closing = threading.Event()

    def job(self) -> dict[str, str]:
        """The environment of a job of GitHub Actions with the permission `id-token: write`, and no network."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "the-job-s-secret",
            "HTTPS_PROXY": CLOSED,
            "NO_PROXY": "127.0.0.1",
        }

    def trust_config(self) -> str:
        """What names these services to a client, as JSON."""
        service = {"majorApiVersion": 1, "validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "a world"}
        urls = [{**service, "url": self.url}]
        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": urls,
            "rekorTlogUrls": urls,
            "rekorTlogConfig": {"selector": "ANY"},
        }
        kind = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
        return json.dumps({"mediaType": kind, "trustedRoot": self.world.trusted_root(), "signingConfig": signing})

    def answer(self, path: str, secret: str, body: bytes) -> dict[str, Any]:
        """What the service at a path answers."""
        self.asked.append((path, time.time()))
        if path in self.silent:
            self.closing.wait()
        if path == "/token":
            assert secret == "bearer the-job-s-secret"
            return {"value": token()}
        said = json.loads(body)
        if path == "/api/v2/signingCert":
            request = x509.load_pem_x509_csr(base64.b64decode(said["certificateSigningRequest"]))
            key: Any = request.public_key()
            now = datetime.now(UTC).replace(microsecond=0)
            chain = [self.world.certify(key, Holder(began=now)), self.world.root]
            pems = [each.public_bytes(Encoding.PEM).decode() for each in chain]
            return {"signedCertificateEmbeddedSct": {"chain": {"certificates": pems}}}
        assert path == "/api/v1/log/entries"
        proposed = said["spec"]["proposedContent"]
        envelope = json.loads(proposed["envelope"])
        certificate = x509.load_pem_x509_certificate(base64.b64decode(proposed["verifiers"][0]))
        parts = (base64.b64decode(each) for each in (envelope["payload"], envelope["signatures"][0]["sig"]))
        return self.world.logged(*parts, certificate, datetime.now(UTC))


@contextmanager
def served(world: World) -> Iterator[Services]:
    """The services of a world, at a free port of this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = urlsplit(self.path).path
            found = services.answer(path, self.headers.get("Authorization", ""), body)
            self.send_response(403 if path in services.refusing else 200 if self.command == "GET" else 201)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        do_POST = do_GET

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    services = Services(world, server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield services
    finally:
        services.closing.set()
        server.shutdown()
        server.server_close()


def token() -> str:
    """A token for the workflow; nobody's signature is under it, as no client checks it."""
    now = int(time.time())
    claims = {"iss": GITHUB, "aud": "sigstore", "sub": "repo:o/r", "iat": now, "nbf": now, "exp": now + 300}
    parts = ({"alg": "RS256", "typ": "JWT"}, {**claims, "job_workflow_ref": WORKFLOW}, "signature")
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
