"""The training text: the source of the Python standard library that is installed on the machine.

Text by the CPython authors, under the Python Software Foundation licence.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError

NOT_THE_LIBRARY = ("site-packages", "dist-packages", "test", "tests", "idle_test", "lib-dynload", "__pycache__")
TABLES = ("encodings", "pydoc_data", "__phello__")
"""Data rather than code."""
OFTEN_ABSENT = ("idlelib", "tkinter", "turtledemo", "lib2to3", "distutils", "ensurepip", "venv")
"""Some distributions of Python lack these; excluding them gives most machines the same corpus."""
EXCLUDED = frozenset((*NOT_THE_LIBRARY, *TABLES, *OFTEN_ABSENT))
MACHINE_OWN = ("_sysconfigdata", "sitecustomize", "usercustomize", "config-")
"""Prefixes of files that describe this machine's build of Python."""
SMALLEST = 400
"""Bytes; shorter files are stubs, and some of them are identical."""
HELD_OUT_OF = 10
"""One file in this many is held out, chosen by the hash of its relative path."""


@dataclass(frozen=True)
class Split:
    """Relative paths of the files to train on and of those held out; sorted and disjoint."""

    root: Path
    train: tuple[str, ...]
    held_out: tuple[str, ...]


def split(root: Path | None = None) -> Split:
    """Choose the corpus under `root` (default: this Python's standard library) and split it by file.

    Raises: UserError if either side of the split would be empty.
    """
    root = root or Path(sysconfig.get_path("stdlib"))
    paths = sorted(path.relative_to(root).as_posix() for path in _sources(root))
    held_out = tuple(path for path in paths if _is_held_out(path))
    train = tuple(path for path in paths if not _is_held_out(path))
    if not train or not held_out:
        raise UserError(
            f"{root}: found {len(train)} source files to train on and {len(held_out)} to hold out, expected the "
            "standard library's .py files; install a Python that ships its sources"
        )
    return Split(root, train, held_out)


def read(root: Path, paths: tuple[str, ...]) -> list[str]:
    """The text of each file, in order.

    Raises: UserError naming the first file that is gone or is not UTF-8.
    """
    texts = []
    for path in paths:
        try:
            texts.append((root / path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as problem:
            raise UserError(f"{root / path}: cannot be read ({problem}); expected UTF-8 Python source") from None
    return texts


def digest(paths: tuple[str, ...], texts: list[str]) -> str:
    """SHA-256 over names and texts; equal digests mean that two machines have the same corpus."""
    total = hashlib.sha256()
    for path, text in zip(paths, texts, strict=True):
        total.update(f"{path}\0{len(text)}\0{text}".encode())
    return total.hexdigest()


def _sources(root: Path) -> Iterator[Path]:
    # Prune excluded folders during the walk: site-packages often holds a hundred times as many files.
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in EXCLUDED and not name.startswith(MACHINE_OWN)]
        for name in names:
            path = Path(folder, name)
            if name.endswith(".py") and not name.startswith(MACHINE_OWN) and _is_large(path) and _is_utf8(path):
                yield path


def _is_large(path: Path) -> bool:
    return path.is_file() and path.stat().st_size >= SMALLEST


def _is_utf8(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_held_out(path: str) -> bool:
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "big") % HELD_OUT_OF == 0
