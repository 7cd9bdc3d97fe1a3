"""The files that a claim's process opens for reading below the candidate's folder and the working folder.

Python tells an audit hook of every file that it opens, of extension modules and of libraries by ctypes. It does not
tell of files that compiled code opens by itself, nor of what other processes read.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

from harness.contract.names.packages import HARNESS
from harness.judging.result import FilesRead
from harness.subject.sources import file_digest

MOST_FILES = 2000
MOST_BYTES = 1 << 30
"""Of one claim; a second or two of SHA-256."""
EVENTS = {"open": 0, "import": 1, "ctypes.dlopen": 0}
"""Audit event -> the place of the file's name among its arguments."""


class Reading:
    """The names of the files that were opened below some folders, from `begin` on."""

    def __init__(self, roots: Mapping[str, Path | None], apart: Sequence[Path]) -> None:
        """`roots`: name -> folder, the first that holds a file counts; what lies below `apart` is left out."""
        self._roots = {name: _folder(path) for name, path in roots.items() if path is not None}
        ours = [_folder(path) for path in (*apart, HARNESS, Path(sys.prefix), Path(sys.base_prefix))]
        # A project may lie below Python's own folder; it is what is installed inside of the project that is left out.
        self._apart = {
            root: tuple(o for o in ours if o.startswith(root) and o != root) for root in self._roots.values()
        }
        self._read: dict[str, tuple[str, str]] = {}
        """Path -> (root's name, name below it)."""
        self._written: set[str] = set()
        self._more = 0
        self._known: dict[tuple[str, int, int], str] = {}

    def begin(self) -> None:
        """Note what this process opens, until it ends: Python has no way to remove an audit hook."""
        sys.addaudithook(self._heard)

    def found(self) -> FilesRead:
        """The files so far with their SHA-256, without those that this process wrote itself."""
        names: dict[str, dict[str, str]] = {"candidate": {}, "working": {}}
        left_out, size = self._more, 0
        for path, (root, name) in sorted(self._read.copy().items()):
            with contextlib.suppress(OSError, ValueError):
                if path in self._written or not os.path.isfile(path):
                    continue
                about = os.stat(path)
                if size + about.st_size > MOST_BYTES:
                    left_out += 1
                    continue
                size += about.st_size
                key = (path, about.st_mtime_ns, about.st_size)
                if key not in self._known:
                    self._known[key] = file_digest(Path(path))
                names[root][name] = self._known[key]
        return {"candidate": names["candidate"], "working": names["working"], "left_out": left_out}

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if event in EVENTS:
            with contextlib.suppress(Exception):  # an exception here would stop the candidate from opening the file
                self._note(args[EVENTS[event]], args[2] if event == "open" else 0)

    def _note(self, file: Any, flags: int) -> None:
        if not isinstance(file, (str, bytes, os.PathLike)):
            return
        path = os.path.abspath(os.fsdecode(file))
        if flags & (os.O_WRONLY | os.O_CREAT | os.O_TRUNC):  # `r+`, which np.memmap uses, is neither
            if path not in self._read:
                self._written.add(path)
            return
        if os.path.basename(os.path.dirname(path)) == "__pycache__" and path.endswith(".pyc"):
            path = source_from_cache(path)  # a module that was compiled before
        place = None if path in self._read else self._place(path) or self._place(os.path.realpath(path))
        if place and len(self._read) < MOST_FILES:
            self._read[path] = place
        elif place:
            self._more += 1

    def _place(self, path: str) -> tuple[str, str] | None:
        """(root's name, the file's name below it); None for a file elsewhere, installed, or in a hidden folder."""
        for name, root in self._roots.items():
            if path.startswith(root) and not path.startswith(self._apart[root]):
                below = path[len(root) :].replace(os.sep, "/")
                hidden = any(part.startswith(".") for part in below.split("/"))
                return None if hidden else (name, os.fsencode(below).decode("utf-8", "backslashreplace"))
        return None


def _folder(path: Path) -> str:
    """The real path of a folder (or of a file that stands apart), with a separator behind a folder."""
    real = os.path.realpath(path)
    return real if os.path.isfile(real) else os.path.join(real, "")
