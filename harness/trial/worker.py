"""Run one claim in its own process, forked from a server that has already loaded torch."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from harness.evidence.examined import Examined
from harness.evidence.result import write
from harness.subject.isolation.kernel import adopt_orphans
from harness.subject.torch_settings import current, settle
from harness.trial.examine import examine
from harness.trial.job import Job


def work(job: Job, line: Connection) -> None:
    """Run one claim, write its files to staging, and send the stages and the verdict over the pipe `line`.

    Before a search the files are whole and the verdict is sent as `held`: it stands if this process is stopped. The
    empty `held` takes it back, for then the files are written again.
    """
    adopt_orphans()
    _die_with_parent(line, job.scratch)
    _redirect(job.staging / "log.txt")
    settle(job.threads)
    started = time.monotonic()

    def save(found: Examined) -> None:
        seconds = time.monotonic() - started
        write(job.staging, job.claim, found, device=job.device, seconds=seconds, settings=current())

    def hold(found: Examined) -> None:
        save(found)
        line.send(("held", found.judgement.verdict.value))

    with _scratch(job.scratch):
        found = examine(job, lambda stage: line.send(("stage", stage)), hold)
    line.send(("held", ""))
    save(found)
    sys.stdout.flush()
    sys.stderr.flush()
    line.send(("done", found.judgement.verdict.value))


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[None]:
    """A folder for files that a candidate writes between calls, outside of the evidence and open to this user alone.

    It is removed afterwards; if the claim is stopped, the run removes it.
    """
    shutil.rmtree(folder, ignore_errors=True)  # a first try that was killed leaves its folder
    folder.mkdir(mode=0o700)
    os.environ["HARNESS_SCRATCH"] = str(folder)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _redirect(path: Path) -> None:
    """Send everything that the claim prints, C libraries included, to its log."""
    log = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


def _die_with_parent(line: Connection, scratch: Path) -> None:
    """End this process and its children when the parent dies.

    Otherwise a run killed with SIGKILL would leave processes that still write to its staging folder.
    """

    def watch() -> None:
        try:
            line.recv()
        except (EOFError, OSError):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
            shutil.rmtree(scratch, ignore_errors=True)
            with contextlib.suppress(OSError):
                scratch.parent.rmdir()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
