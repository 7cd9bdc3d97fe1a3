"""The identity of a candidate: its spec and the SHA-256 of its source."""

from __future__ import annotations

import hashlib
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import NotRequired, TypedDict

from harness import checkpoint
from harness.contract.names.modules import Missing, Modules
from harness.contract.names.packages import HARNESS, full_name
from harness.errors import UserError
from harness.subject.candidate import BASELINE, OPENED, PROGRAM, READERS, check_built_in, existing, is_program
from harness.subject.sources import file_digest, files_digest, with_siblings


class Identity(TypedDict):
    """The candidate's spec, the SHA-256 of its source, and the SHA-256 of the code that opens it."""

    spec: str
    sha256: str | None
    reader: NotRequired[str]


def identity(spec: str, folder: str | Path = ".") -> Identity:
    """The candidate's spec and the SHA-256 of its source; evidence from a different source is STALE.

    The source of a Python file includes the files beside it that it imports. The source of a command line is the files
    that the command names. No code of the candidate runs, and nothing that it needs has to be installed.
    Raises: UserError if there is no such candidate; OSError if its files cannot be read.
    """
    if spec == BASELINE:
        return {"spec": spec, "sha256": None}
    where, _, rest = (spec, "", "") if spec.endswith(".py") else spec.partition(":")
    if is_program(spec):
        package = import_module(f"harness.candidates.{READERS[PROGRAM]}")
        found = _program_files(package.words(spec.removeprefix(f"{PROGRAM}:")), Path(folder))
        return {"spec": spec, "sha256": files_digest(found, Path(folder)), "reader": _ours(READERS[PROGRAM])}
    if where in OPENED:
        path = existing(spec, Path(folder) / rest)
        digest = file_digest(path) if path.is_file() else checkpoint.digest(path)
        return {"spec": spec, "sha256": digest, "reader": _ours(OPENED[where])}
    if where.endswith(".py"):
        source = existing(spec, Path(folder) / where)
        return {"spec": spec, "sha256": files_digest(with_siblings(source), source.parent)}
    if ":" not in spec:
        check_built_in(spec)
        return {"spec": spec, "sha256": _ours()}  # all of them, for they import each other
    return {"spec": spec, "sha256": source_digest(_module_file(spec, where))}


def source_folder(spec: str, folder: str | Path = ".") -> Path | None:
    """The folder of a candidate that is a Python file; None for every other."""
    where = spec if spec.endswith(".py") else spec.partition(":")[0]
    return (Path(folder) / where).parent if where.endswith(".py") else None


def _ours(package: str = "") -> str:
    return source_digest(HARNESS / "candidates" / package / "__init__.py")


def _module_file(spec: str, name: str) -> Path:
    """A module's file: that of the loaded module, else found without importing it."""
    loaded = sys.modules.get(full_name(name))
    if loaded is not None and loaded.__file__:
        return Path(loaded.__file__)
    try:
        return Modules().file(name)
    except Missing as lost:
        raise UserError(f"--candidate {spec}: {lost}") from None


def _program_files(words: list[str], folder: Path) -> list[Path]:
    """Files named in the command, else the executable found on PATH."""
    named = [folder / word for word in words if (folder / word).is_file()]
    if not named:
        found = shutil.which(words[0])
        if found is None:
            raise UserError(f"--candidate {PROGRAM}:{' '.join(words)}: found no program {words[0]!r} here or on PATH")
        named = [Path(found)]
    return sorted({each for path in named for each in (with_siblings(path) if path.suffix == ".py" else [path])})


def source_digest(origin: Path) -> str:
    """SHA-256 over a module's file, or over every Python file of the package whose `__init__.py` it is."""
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(origin.parent)}\0{file_digest(path)}\n".encode())
    return total.hexdigest()
