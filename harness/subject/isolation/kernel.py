"""What Linux is asked for about this process: orphans, and who may read its memory. Elsewhere nothing happens."""

from __future__ import annotations

import ctypes
import signal
import sys
from functools import cache

PR_SET_CHILD_SUBREAPER = 36
"""The option of prctl(2) by which the orphans among a process's descendants become its children."""

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON = 19, 21, 38
LOOKING = (CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON)
"""What lets root look into hidden processes: into all by the first, into /proc/PID/environ by each (Linux 6.14)."""
CAPABILITIES = 0x20080522
"""The version of capset(2) with two words of 32 capabilities."""


def adopt_orphans() -> bool:
    """Become the parent of every descendant whose own parent ends, `setsid` or not; True if the system does it.

    So what a subject leaves behind stays findable. The setting is not inherited by a fork.
    """
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def hide_memory() -> bool:
    """Let no other process of this user open this one's memory; True if the system does it.

    A program that this process starts has its own memory again as it was. The user root needs `give_up_tracing` too.
    """
    return _prctl(PR_SET_DUMPABLE, 0)


def die_with_parent() -> bool:
    """Be killed as soon as the process that forked this one ends; True if the system does it."""
    return _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def give_up_tracing() -> bool:
    """Give up, for good, root's right to open the memory of processes that hid theirs; True if it is given up."""
    library = _library()
    if library is None:
        return False
    for each in LOOKING:
        _prctl(PR_CAPBSET_DROP, each)  # so that a program which this process starts does not get it back
    head, words = (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    if library.capget(head, words) != 0:
        return False
    for word, bit in (divmod(each, 32) for each in LOOKING):
        for index in range(3):  # effective, permitted, inheritable
            words[3 * word + index] &= ~(1 << bit)
    return bool(library.capset(head, words) == 0)


def _prctl(option: int, value: int) -> bool:
    library = _library()
    return library is not None and library.prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3) == 0


@cache
def _library() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
