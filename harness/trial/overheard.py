"""What a candidate prints outside of a claim's log: kept apart, and told as text once it has done."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from harness.words.plain import say

MOST = 1 << 16
"""Bytes of output that are told: the last ones."""


@contextlib.contextmanager
def overheard() -> Iterator[None]:
    """Catch all that this process prints meanwhile, C libraries included; then say it on stderr.

    Printed as it comes, it could obey the terminal's signs, start a command of the CI, or stand inside a JSON answer.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept, contextlib.ExitStack() as back:
        for number in (1, 2):
            before = os.dup(number)
            back.callback(os.close, before)
            back.callback(os.dup2, before, number)
            os.dup2(kept.fileno(), number)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            back.close()
            size = kept.seek(0, os.SEEK_END)
            kept.seek(max(size - MOST, 0))
            told = kept.read().decode("utf-8", "replace").removesuffix("\n")
            left_out = [f"... {size - MOST} bytes of output are left out ..."] if size > MOST else []
            say(*left_out, *(told.split("\n") if told else []), stderr=True)
