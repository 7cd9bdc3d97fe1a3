"""Wait for processes that tests start, and check that they end."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil


def wait_for(done: Callable[[], object], seconds: float = 180.0) -> None:
    """Return as soon as `done()` is true; fail after some seconds."""
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, f"nothing came within {seconds:.0f} s"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    """Whether a process has ended, within two seconds."""
    for _ in range(40):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False
