"""The processes that belong to a claim: its worker, all that it started, and what nobody owns any more."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from pathlib import Path

import psutil

ROUNDS = 100
"""How often the killing of a family that grows while it is killed begins anew."""
OOM_KILLS = Path("/proc/vmstat")
"""Where Linux counts the processes that it killed because memory ran out."""


class Family:
    """A worker and its descendants.

    The worker and the forkserver adopt orphans (`harness.subject.isolation.kernel`), so a process that detached itself
    is still a descendant of the worker, or a child of the forkserver once the worker is dead.
    """

    def __init__(self, pid: int) -> None:
        self._seen: set[psutil.Process] = set()
        self._oom_kills = oom_kills()
        self._worker: psutil.Process | None = None
        self._server: psutil.Process | None = None
        with contextlib.suppress(psutil.Error):
            self._worker = psutil.Process(pid)
            parent = self._worker.parent()
            # A worker whose forkserver died before this line has another parent, which is not to be swept.
            self._server = parent if parent and parent.ppid() == os.getpid() else None

    @property
    def lives(self) -> bool:
        """Whether the worker runs. A dead forkserver reports every worker as ended; the system knows better."""
        return self._worker is not None and _lives(self._worker)

    @property
    def served(self) -> bool:
        """Whether the forkserver, which alone learns how the worker ended, still runs."""
        return self._server is not None and _lives(self._server)

    @property
    def out_of_memory(self) -> bool:
        """Whether the system has killed a process for lack of memory since this worker began."""
        return oom_kills() > self._oom_kills

    def resident(self) -> int:
        """Resident memory of the worker and its descendants, in bytes; remembers who they are."""
        if self._worker is None:
            return 0
        total = 0
        with contextlib.suppress(psutil.Error):
            below = self._worker.children(recursive=True)
            self._seen.update(below)
            for member in [self._worker, *below]:
                with contextlib.suppress(psutil.Error):
                    total += member.memory_info().rss
        return total

    def end(self) -> None:
        """Kill the worker's descendants, then the worker, then what the forkserver adopted.

        The worker dies last but one, so that what loses its parent meanwhile comes to the worker and is found there.
        """
        if self._worker is not None:
            for _ in range(ROUNDS):
                if not self._kill_all(self._below(self._worker)):
                    break
            self._kill_all([self._worker, *self._seen])
        if self._server is not None:
            for _ in range(ROUNDS):
                if not self._kill_all(self._strays(self._server)):
                    break

    def _below(self, process: psutil.Process) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return [each for each in process.children(recursive=True) if _lives(each)]
        return []

    def _strays(self, server: psutil.Process) -> list[psutil.Process]:
        """The forkserver's children that this program did not start, with their descendants."""
        known = {each.pid for each in multiprocessing.active_children()}
        with contextlib.suppress(psutil.Error):
            found = [each for each in server.children() if each.pid not in known and _lives(each)]
            return [*found, *(deeper for each in found for deeper in self._below(each))]
        return []

    def _kill_all(self, processes: list[psutil.Process]) -> bool:
        """Kill processes and wait until they are gone; whether there was any."""
        killed = [each for each in processes if _lives(each)]
        for each in killed:
            with contextlib.suppress(psutil.Error):
                each.kill()
        ends = time.monotonic() + 5
        while any(_lives(each) for each in killed) and time.monotonic() < ends:
            time.sleep(0.001)
        return bool(killed)


def oom_kills() -> int:
    """How many processes this system has killed for lack of memory; 0 where it does not say."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = OOM_KILLS.read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("oom_kill ")).split()[1])
    return 0


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
