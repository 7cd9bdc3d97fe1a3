"""Start a program that may write below one folder and nowhere else, as Linux's Landlock lets every user do it.

    python -I -S landlock.py FOLDER DESCRIPTOR PROGRAM [ARGUMENT ...]

This file is run by its path, so it imports nothing of Harness and little of Python. Reading stays free. A confined
program cannot open the memory of a process outside, nor send it a signal (since version 6 of Landlock), and cannot undo
any of it; what it starts is confined as well. Source: landlock(7) and userspace-api/landlock.rst of Linux.
"""

from __future__ import annotations

import ctypes
import glob
import os
import sys

CREATE, ADD, RESTRICT = 444, 445, 446
"""Numbers of the three system calls, the same on every architecture."""
ASK_VERSION, PATH_BENEATH = 1, 1
PR_SET_NO_NEW_PRIVS = 38
WRITE_FILE, TRUNCATE = 1 << 1, 1 << 14
CHANGES = [(1, WRITE_FILE | sum(1 << bit for bit in range(4, 13))), (2, 1 << 13), (3, TRUNCATE)]
"""(first version, rights): write, remove and make; move to another folder; truncate."""
NETWORK_SINCE, SCOPES_SINCE = 4, 6
SCOPES = 3
"""Abstract Unix sockets and signals."""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "dri", "kfd", "nvidia*")
"""Below /dev. No disk is among them: root could write any file through it."""
SHARED_MEMORY = "/dev/shm"


class Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class Beneath(ctypes.Structure):
    """struct landlock_path_beneath_attr."""

    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def version() -> int:
    """The version of Landlock that this system offers; 0 for none."""
    return max(0, _call(CREATE, None, 0, ASK_VERSION)) if sys.platform.startswith("linux") else 0


def confine(folders: list[str]) -> None:
    """Let this process, and what it will start, write below the folders, to DEVICES and to shared memory alone.

    Raises: OSError if the system offers no Landlock or a folder cannot be opened; nothing is confined then.
    """
    known = version()
    if not known:
        raise OSError("this system offers no Landlock")
    rights = sum(bits for first, bits in CHANGES if known >= first)
    rules = Ruleset(rights, 0, SCOPES if known >= SCOPES_SINCE else 0)
    size = 8 if known < NETWORK_SINCE else 16 if known < SCOPES_SINCE else 24
    ruleset = _checked(_call(CREATE, ctypes.byref(rules), size, 0))
    for folder in [*folders, *glob.glob(SHARED_MEMORY)]:
        _allow(ruleset, folder, rights)
    for name in DEVICES:
        for device in glob.glob(f"/dev/{name}"):
            _allow(ruleset, device, rights & (WRITE_FILE | TRUNCATE))
    library = ctypes.CDLL(None, use_errno=True)
    _checked(library.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3))
    _checked(_call(RESTRICT, ruleset, 0))
    os.close(ruleset)


def _allow(ruleset: int, folder: str, rights: int) -> None:
    opened = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        _checked(_call(ADD, ruleset, PATH_BENEATH, ctypes.byref(Beneath(rights, opened)), 0))
    finally:
        os.close(opened)


def _call(*words: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    return int(library.syscall(*[ctypes.c_long(word) if isinstance(word, int) else word for word in words]))


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


def main(folder: str, report: str, *words: str) -> None:
    """Confine this process to `folder`, then become the program; what hinders it goes to the descriptor `report`."""
    os.set_inheritable(int(report), False)  # so that its other end sees the program start
    try:
        confine([folder])
        os.execvp(words[0], words)
    except OSError as problem:
        os.write(int(report), str(problem.strerror or problem).encode())
        raise SystemExit(126) from None


if __name__ == "__main__":
    main(*sys.argv[1:])
