"""What Linux is asked for about this process: to adopt orphans. Elsewhere nothing happens."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

PR_SET_CHILD_SUBREAPER = 36
"""The option of prctl(2) by which the orphans among a process's descendants become its children."""


def adopt_orphans() -> bool:
    """Become the parent of every descendant whose own parent ends, `setsid` or not; True if the system does it.

    So what a subject leaves behind stays findable. The setting is not inherited by a fork.
    """
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> bool:
    library = _library()
    return library is not None and library.prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3) == 0


@cache
def _library() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
