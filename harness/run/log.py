"""What a claim printed, read from a file that its process could write."""

from __future__ import annotations

import os
import stat
from pathlib import Path

KEPT = 1 << 20
"""Bytes of a log that are kept, its end."""


def read_log(path: Path) -> bytes:
    """The end of a log, and a first line that counts what was left out; nothing where there is no regular file.

    A process may have put a link or a pipe there, which are not opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return b""
        left_out = max(0, found.st_size - KEPT)
        stream.seek(left_out)
        text = stream.read(KEPT)
    return (f"[{left_out} bytes before this were not kept]\n".encode() if left_out else b"") + text
