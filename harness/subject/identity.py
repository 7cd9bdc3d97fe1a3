"""The identity of a candidate: its spec and the SHA-256 of its source."""

from __future__ import annotations

import hashlib
import shutil
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NotRequired, TypedDict

from harness import checkpoint
from harness.subject import binding
from harness.subject.candidate import BASELINE, OPENED, PROGRAM, READERS, check_built_in, existing, reader
from harness.subject.sources import file_digest, files_digest, with_siblings


class Identity(TypedDict):
    """The candidate's spec, the SHA-256 of its source, and the SHA-256 of the code that opens it."""

    spec: str
    sha256: str | None
    reader: NotRequired[str]


def identity(spec: str, folder: str | Path = ".") -> Identity:
    """The candidate's spec and the SHA-256 of its source; evidence from a different source is STALE.

    The source of a Python file includes the files beside it that it imports. The source of a command line is the files
    that the command names.
    """
    if spec == BASELINE:
        return {"spec": spec, "sha256": None}
    where, _, rest = (spec, "", "") if spec.endswith(".py") else spec.partition(":")
    if spec.startswith(f"{PROGRAM}:"):
        package = import_module(f"harness.candidates.{READERS[PROGRAM]}")
        found = _program_files(package.words(spec.removeprefix(f"{PROGRAM}:")), Path(folder))
        return {"spec": spec, "sha256": files_digest(found, Path(folder)), "reader": source_digest(package)}
    if where in OPENED:
        reading = source_digest(reader(spec, where))
        path = existing(spec, Path(folder) / rest)
        digest = file_digest(path) if path.is_file() else checkpoint.digest(path)
        return {"spec": spec, "sha256": digest, "reader": reading}
    if where.endswith(".py"):
        source = Path(folder) / where
        return {"spec": spec, "sha256": files_digest(with_siblings(source), source.parent)}
    if ":" not in spec:
        check_built_in(spec)
        return {"spec": spec, "sha256": source_digest(import_module("harness.candidates"))}  # they import each other
    return {"spec": spec, "sha256": source_digest(binding.module(where, folder))}


def _program_files(words: list[str], folder: Path) -> list[Path]:
    """Files named in the command, else the executable found on PATH."""
    named = [folder / word for word in words if (folder / word).is_file()]
    if not named:
        named = [Path(found)] if (found := shutil.which(words[0])) else []
    return sorted({each for path in named for each in (with_siblings(path) if path.suffix == ".py" else [path])})


def source_digest(loaded: ModuleType) -> str:
    """SHA-256 over a module's file, or over every Python file of a package."""
    origin = Path(loaded.__file__ or "")
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(origin.parent)}\0{file_digest(path)}\n".encode())
    return total.hexdigest()
