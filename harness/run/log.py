"""The logs of the claims that run: of a log, its first and last halves are kept and what stood between is counted.

A claim's process could put a link or a pipe in its log's place; these are neither opened nor followed.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

HALF = 1 << 19
"""Bytes kept of the beginning of a log, and of its end."""
FULL = 1 << 26
"""A log of more bytes is cut while its claim still runs, so that endless output does not fill the disk."""
EVERY_S = 0.5
MARK = 100
"""More bytes than the line has that counts what is left out."""


def read_log(path: Path) -> bytes:
    """A log in its final form; nothing where there is no regular file."""
    with contextlib.suppress(OSError), _opened(path, os.O_RDONLY) as file:
        return file.read(2 * HALF + MARK)
    return b""


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[BinaryIO]:
    """The file at the path. Raises: OSError if it is not a regular file."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb" if flags == os.O_RDONLY else "r+b") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        yield file


@dataclass
class _Log:
    """One log. `left_out` bytes were cut while its claim ran; they stood between the first half and `tail`."""

    path: Path
    left_out: int = 0
    tail: bytes = b""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def cut(self) -> None:
        """Keep the first half in the file, where the claim goes on writing, and the last half here.

        What is written between the reading and the cutting is counted by its size alone.
        """
        with self.lock, _opened(self.path, os.O_RDWR) as file:
            size = file.seek(0, os.SEEK_END)
            if size <= 2 * HALF:
                return
            file.seek(max(size - HALF, HALF))
            end = file.read(HALF)
            grown = max(file.seek(0, os.SEEK_END), size)
            file.truncate(HALF)
            self.left_out += len(self.tail) + grown - HALF - len(end)
            self.tail = end

    def close(self) -> None:
        """Write the last half behind the first one, and between them how much is not there."""
        self.cut()
        with self.lock, _opened(self.path, os.O_RDWR) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(HALF)
            rest = self.tail + (file.read(HALF) if size > HALF else b"")
            if not self.left_out and not self.tail:
                return
            left_out, rest = self.left_out + max(len(rest) - HALF, 0), rest[-HALF:]
            file.truncate(min(size, HALF))
            file.seek(0, os.SEEK_END)
            file.write(f"\n... {left_out} bytes are left out here ...\n".encode() + rest)


class Logs:
    """The logs of jobs that begin in this order, `at_once` at a time; as a context, it watches those that can run.

    These are always the first `at_once` of the logs that have not ended.
    """

    def __init__(self, paths: Iterable[Path], at_once: int) -> None:
        self._open = {path: _Log(path) for path in paths}
        self._at_once = at_once
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Logs:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def end(self, path: Path) -> None:
        """Bring a log whose claim has ended to its final form."""
        log = self._open.pop(path, None) or _Log(path)
        with contextlib.suppress(OSError):
            log.close()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            with contextlib.suppress(RuntimeError):  # a log was ended meanwhile
                for log in list(islice(self._open.values(), self._at_once)):
                    with contextlib.suppress(OSError):
                        if log.path.lstat().st_size > FULL:
                            log.cut()
