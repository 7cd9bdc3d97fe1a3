"""Record the inputs of a run: contracts, code, candidate, host."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import __version__, checkpoint
from harness.contract.claim import Contract
from harness.contract.names.packages import CONTENT, HARNESS, full_name
from harness.contract.validate import Checked
from harness.evidence.body import SCHEMA, Begun, Checkpoint, ContractEntry, Host, Options, RunBody, Running

PARTS = tuple(name for name in CONTENT if name != "candidates")
"""Packages below `harness` that have their own digest. The engine is everything else except `candidates`, which the
candidate's identity covers."""
ENGINE = "harness"


def started(options: Options, checked: Checked, host: Host) -> Begun:
    """The part of run.json that is known before the first claim runs."""
    return {
        "schema": SCHEMA,
        "harness": __version__,
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": options,
        "seed": options["seed"],
        "candidate": host["candidate"],
        "device": host["device"],
        "device_asked": host["device_asked"],
        "device_missing": host["device_missing"],
        "weights": weights_digest(options["weights"]),
        "host": host["host"],
        "versions": host["versions"],
        "isolation": host["isolation"],
        "code": code_digests(),
        "contracts": [describe(contract, checked) for contract in checked.contracts],
    }


def begun_part(body: Running | RunBody) -> Begun:
    """The part of a run.json that was known before the first claim ran."""
    found: Any = {key: value for key, value in body.items() if key in Begun.__annotations__}
    part: Begun = found
    return part


def weights_digest(folder: str | None) -> Checkpoint | None:
    """The folder from --weights with the digest of its content; None as digest if it is no checkpoint.

    `harness.run.campaign` refuses such a folder later.
    """
    if folder is None:
        return None
    known = (Path(folder) / "config.json").is_file()
    return {"folder": folder, "sha256": checkpoint.digest(folder) if known else None}


def describe(contract: Contract, checked: Checked) -> ContractEntry:
    """A contract's place and identity: its digest, and the digests of the user's files that it binds."""
    return {
        "id": contract.id,
        "path": Path(contract.path).as_posix(),
        "repository_path": _repository_path(Path(contract.path)),
        "lines": {claim.id: claim.line for claim in contract.claims},
        "sha256": contract.digest,
        "files": _bound_files(contract, checked),
        "depends_on": list(contract.depends_on),
    }


def _repository_path(path: Path) -> str | None:
    """The contract's path relative to the root of the git repository that contains the working directory.

    CI systems name files this way. None for a contract outside the repository, such as a built-in one; without git the
    working directory is the root.
    """
    here, absolute = Path.cwd(), path.resolve()
    root = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here).resolve()
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else None


def _bound_files(contract: Contract, checked: Checked) -> dict[str, str]:
    """File name -> SHA-256 of a user's own falsifiers, baselines and mutants."""
    found: dict[str, str] = {}
    for claim in contract.claims:
        if claim.unbound:
            continue
        binding = checked.bindings[claim.id]
        places = [binding.falsifier, binding.baseline, binding.inputs]
        paths = [Path(p.file) for p in places if p and full_name(p.module).partition(".")[0] != "harness"]
        owners = [where.rpartition(":")[0] for where in binding.mutants.values()]
        paths += [Path(contract.path).parent / owner for owner in owners if owner.endswith(".py")]
        found |= {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return dict(sorted(found.items()))


def code_digests(harness: Path = HARNESS) -> dict[str, str]:
    """Package name -> SHA-256 over its Python files, for the engine and each package on which a verdict depends."""
    found: dict[str, list[str]] = {name: [] for name in (ENGINE, *PARTS)}
    for name in _python_files(str(harness)):
        first = name.partition(os.sep)[0]
        if first != "candidates":
            found[first if first in PARTS else ENGINE].append(name)
    return {part: _digest(str(harness), names) for part, names in found.items()}


def _python_files(folder: str) -> Iterator[str]:
    """Names below a folder, as text: every run and gate asks for hundreds, and Path objects cost more than hashing."""
    for place, _, names in os.walk(folder):
        below = "" if place == folder else place[len(folder) + 1 :] + os.sep
        yield from (below + name for name in names if name.endswith(".py"))


def _digest(root: str, names: list[str]) -> str:
    """SHA-256 over the names and bytes of files."""
    total = hashlib.sha256()
    for name in sorted(names):
        with open(f"{root}{os.sep}{name}", "rb") as file:
            total.update(f"{name.replace(os.sep, '/')}\0{hashlib.sha256(file.read()).hexdigest()}\n".encode())
    return total.hexdigest()
