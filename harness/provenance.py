"""What a run was made from: contracts, code, candidate, host."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import __version__
from harness.contract.claim import Contract

PACKAGES = ("harness", "falsifiers", "reference", "models")


def started(options: dict[str, Any], contracts: Iterable[Contract], host: dict[str, Any]) -> dict[str, Any]:
    """The part of run.json that is known before the first claim runs."""
    return {
        "schema": 1,
        "harness": __version__,
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": options,
        "seed": options["seed"],
        "candidate": host["candidate"],
        "device": host["device"],
        "device_asked": host["device_asked"],
        "device_missing": host["device_missing"],
        "host": host["host"],
        "versions": host["versions"],
        "code": code_digests(),
        "contracts": [
            {"id": c.id, "path": Path(c.path).as_posix(), "sha256": c.digest, "depends_on": list(c.depends_on)}
            for c in contracts
        ],
    }


def code_digests() -> dict[str, str]:
    """SHA-256 over the Python files of each package that a verdict depends on."""
    return {name: tree_digest(name) for name in PACKAGES}


def tree_digest(package: str) -> str:
    """SHA-256 over a package's Python files, by name and bytes, without importing it."""
    found = importlib.util.find_spec(package)
    total = hashlib.sha256()
    for root in sorted(found.submodule_search_locations or []) if found else []:
        for path in sorted(Path(root).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
