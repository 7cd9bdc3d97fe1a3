"""Run one claim in its own process, forked from a server that has already loaded torch."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from harness.evidence.examined import Examined
from harness.evidence.parcel import pack
from harness.judging.cause import Cause
from harness.judging.judge import judge
from harness.judging.record import without_result
from harness.judging.result import FilesRead
from harness.subject import frames
from harness.subject.candidate import opened
from harness.subject.device import platform
from harness.subject.identity import source_folder
from harness.subject.isolation.kernel import adopt_orphans, give_up_tracing
from harness.subject.reading import Reading
from harness.subject.torch_settings import current, settle
from harness.trial.ending import cause_of
from harness.trial.examine import examine
from harness.trial.job import Job


def work(job: Job, line: Connection) -> None:
    """Run one claim; send its stages and its result over the pipe `line`. Nothing is written into the evidence here.

    Before a search the result so far is sent as `held`: it stands if this process is stopped.
    """
    adopt_orphans()
    give_up_tracing()
    _die_with_parent(line, job)
    _redirect(job.log)
    settle(job.threads)
    reading = _reading(job)
    started = time.monotonic()
    stream = os.fdopen(os.dup(line.fileno()), "wb")

    def tell(kind: str, content: bytes) -> None:
        frames.send(stream, kind.encode() + b" " + content)

    def parcel(found: Examined) -> bytes:
        return _packed(job, found, time.monotonic() - started, reading.found())

    with _scratch(job.scratch):
        found = examine(
            job,
            lambda stage: tell("stage", stage.encode("utf-8", "replace")),
            lambda found: tell("held", parcel(found)),
        )
    content = parcel(found)
    sys.stdout.flush()
    sys.stderr.flush()
    tell("done", content)


def _packed(job: Job, found: Examined, seconds: float, read: FilesRead) -> bytes:
    """The result as bytes; in place of one that holds what no file can hold, the reason."""
    try:
        return pack(found, seconds, current(), read)
    except Exception as problem:  # noqa: BLE001  (whatever a falsifier put into its result)
        traceback.print_exc()
        cause = cause_of(problem, Cause.UNPICKLABLE)
        told = f"{type(problem).__name__}: {problem}".encode("utf-8", "backslashreplace").decode("utf-8")
        error = f"its result cannot be kept: {told}"
        record = without_result(platform(job.device), error=error, cause=cause.value)
        return pack(Examined(record, judge(job.claim.source, record)), seconds, current(), read)


def _reading(job: Job) -> Reading:
    """Note from now on which files this process reads; weights have a digest of their own."""
    folder = Path(job.candidate_folder)
    roots = {"candidate": source_folder(job.candidate, folder), "working": folder}
    weights = [Path(each) for each in (job.weights, opened(job.candidate, folder)) if each]
    found = Reading(roots, [*weights, job.scratch])
    found.begin()
    return found


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
    # A text that no encoding has must not end the claim that prints it.
    sys.stdout = os.fdopen(1, "w", buffering=1, errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)


def _die_with_parent(line: Connection, job: Job) -> None:
    """End this process and its children when the parent dies.

    Otherwise a run killed with SIGKILL would leave processes behind.
    """

    def watch() -> None:
        try:
            line.recv()
        except (EOFError, OSError):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
            shutil.rmtree(job.scratch, ignore_errors=True)
            with contextlib.suppress(OSError):
                job.log.unlink(missing_ok=True)
                job.scratch.parent.rmdir()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
