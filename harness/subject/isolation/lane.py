"""One end of a socket over which byte strings pass, one question and one answer at a time."""

from __future__ import annotations

import socket

from harness.subject import frames


class Lane:
    """Sends and receives whole byte strings."""

    def __init__(self, end: socket.socket) -> None:
        self._in, self._out = end.makefile("rb"), end.makefile("wb")

    def send(self, content: bytes) -> None:
        """Raises: OSError if the other process has ended."""
        frames.send(self._out, content)

    def receive(self) -> bytes:
        """Raises: EOFError if the other process has ended."""
        return frames.receive(self._in)
