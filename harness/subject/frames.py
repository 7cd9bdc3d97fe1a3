"""Length-prefixed byte strings over a pipe: the messages between `other_process` and `other_process_child`."""

from __future__ import annotations

import struct
from typing import IO

LENGTH = struct.Struct("<Q")


def send(stream: IO[bytes], data: bytes) -> None:
    """Write the length of one byte string, then the string, and flush."""
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes:
    """Read the next byte string.

    Raises: EOFError if the stream ends before the byte string is complete.
    """
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data
