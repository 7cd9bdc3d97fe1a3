"""A cache of folders: each is built once beside its place, renamed into it, and checked by SHA-256 on later use."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.errors import UserError

DIGESTS = "sha256.json"
"""A JSON file, written last: {path in the folder: SHA-256} of every other file of it."""


def root() -> Path:
    """$HARNESS_CACHE, or $XDG_CACHE_HOME/harness, or ~/.cache/harness."""
    if named := os.environ.get("HARNESS_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness"


def get(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return the folder if it is undamaged, else build it with `make(empty folder)`.

    One process builds and the others wait. A killed build leaves no folder of that
    name; the next build removes its temporary folder.
    Raises: UserError if the cache cannot be written.
    """
    if folder.is_dir() and damage(folder) is None:
        return folder
    from filelock import FileLock, Timeout

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f"{folder.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _say(f"{folder}: another process is building it, waiting")
            lock.acquire()
    except OSError as problem:
        raise UserError(
            f"{folder.parent}: cannot be written ({problem.strerror or problem}); "
            "set HARNESS_CACHE to a writable folder"
        ) from None
    try:
        _build(folder, make)
    finally:
        lock.release()
    return folder


def damage(folder: Path) -> str | None:
    """One line about the first missing or changed file of a built folder, or None.

    Files that were added later (an exported GGUF) are not checked.
    """
    try:
        digests = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
        if not isinstance(digests, dict) or not digests:
            return f"{DIGESTS} lists no files"
        return next((f"{name} has other bytes" for name in digests if _sha256(folder / name) != digests[name]), None)
    except (OSError, ValueError) as problem:
        return str(problem)


def _build(folder: Path, make: Callable[[Path], None]) -> None:
    """Build with the lock held, unless another process did while this one waited."""
    if folder.is_dir():
        if (wrong := damage(folder)) is None:
            return
        _say(f"{folder}: damaged, {wrong}; building it again")
    for leftover in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        make(aside)
        made = [path for path in sorted(aside.rglob("*")) if path.is_file()]
        digests = {path.relative_to(aside).as_posix(): _sha256(path) for path in made}
        (aside / DIGESTS).write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")
        aside.chmod(0o755)
        if folder.exists():
            folder.rename(aside.with_name(f"{aside.name}.old"))
        aside.rename(folder)
    finally:
        for leftover in folder.parent.glob(f"{aside.name}*"):
            shutil.rmtree(leftover, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
