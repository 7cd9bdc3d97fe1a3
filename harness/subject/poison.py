"""Memory that an implementation gets uninitialised holds garbage, and not the right answer of an earlier call.

torch fills `torch.empty` with NaN itself, on every device (`harness.subject.torch_settings`). Here glibc fills what
`malloc` gives out, which is where `numpy.empty` and C code get their memory.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

M_PERTURB = -6
"""The option of glibc's mallopt(3) that fills each block on malloc, with the complement of the byte, and on free."""
PATTERN = 0x7F
"""3.4e38 in float32 and bfloat16, NaN in float16, 1.4e306 in float64, an id beyond any table in integers."""
SMALL = 1040
"""Bytes. NumPy and glibc keep freed blocks up to about this size in lists of seven, past which no filling happens."""
KEPT = 16
"""Blocks that empty both lists of one size."""
SIZES = 64
"""Most sizes of small results that are remembered, the latest ones."""

_lock = threading.Lock()
_inside = 0
_small: dict[int, None] = {}


@contextmanager
def poisoned() -> Iterator[None]:
    """Fill uninitialised memory with `PATTERN` while an implementation runs, in every thread.

    Where the C library cannot fill (macOS, musl), only small blocks of the sizes of earlier results are filled.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def remember(size: int) -> None:
    """Fill small blocks of `size` bytes, a result's size, before each later call; of many sizes forget the oldest."""
    if size > SMALL:
        return
    with _lock:
        _small.pop(size, None)
        _small[size] = None
        if len(_small) > SIZES:
            del _small[next(iter(_small))]


def _enter() -> None:
    global _inside
    with _lock:
        _inside += 1
        if _inside == 1:
            _fill(PATTERN ^ 0xFF)
        for size in list(_small):
            blocks = [np.empty(size, np.uint8) for _ in range(KEPT)]
            for block in blocks:
                block.fill(PATTERN)


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if not _inside:
            _fill(0)


def _fill(byte: int) -> None:
    mallopt = _mallopt()
    if mallopt is not None:
        mallopt(M_PERTURB, byte)


@cache
def _mallopt() -> ctypes._NamedFuncPointer | None:
    """glibc's mallopt; None where the C library is another one."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library.mallopt if hasattr(library, "gnu_get_libc_version") else None
