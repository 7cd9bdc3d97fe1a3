"""What a claim's process has sent so far: whole messages, read without waiting and without executing any of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing.connection import Connection

from harness.subject.frames import LENGTH

PIECE = 1 << 20
AT_ONCE = 64 << 20
"""Bytes that are read before others get their turn."""


class TooLong(Exception):
    """A message longer than the claim's memory limit."""


class Inbox:
    """The parent's end of a worker's pipe. A worker that stops in the middle of a message holds nobody up."""

    def __init__(self, line: Connection, longest: int) -> None:
        self._line = line
        self._longest = longest
        self._held = bytearray()
        os.set_blocking(line.fileno(), False)

    def fileno(self) -> int:
        """For `multiprocessing.connection.wait`."""
        return self._line.fileno()

    def close(self) -> None:
        """Close this end; the worker then ends, if it still runs."""
        self._line.close()

    def take(self) -> Iterator[tuple[str, bytes]]:
        """The kind and the content of each message that is here whole.

        Raises: TooLong.
        """
        self._read()
        while len(self._held) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._held)
            if length > self._longest:
                raise TooLong(f"it sent a message of {length >> 20} MiB; the limit is {self._longest >> 20} MiB")
            if len(self._held) < LENGTH.size + length:
                return
            message = bytes(self._held[LENGTH.size : LENGTH.size + length])
            del self._held[: LENGTH.size + length]
            kind, _, content = message.partition(b" ")
            yield kind.decode("ascii", "replace"), content

    def _read(self) -> None:
        for _ in range(AT_ONCE // PIECE):
            try:
                piece = os.read(self._line.fileno(), PIECE)
            except OSError:  # nothing more now, or closed
                return
            if not piece:
                return
            self._held += piece
