"""Run one claim in its own process, forked from a server that has already loaded torch."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
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
from harness.judging.result import FilesRead, TorchSettings
from harness.subject import frames
from harness.subject.candidate import opened
from harness.subject.device import platform
from harness.subject.identity import source_folder
from harness.subject.isolation.kernel import adopt_orphans, give_up_tracing, hide_memory
from harness.subject.isolation.link import CandidateEnded, Link
from harness.subject.isolation.server import Setting
from harness.subject.reading import Reading
from harness.subject.torch_settings import current, settle
from harness.trial.ending import cause_of
from harness.trial.examine import examine
from harness.trial.job import Job


def work(line: Connection, *, isolate: bool = False) -> None:
    """Receive a job over the pipe `line` and run its claim; send its stages and its result back. Nothing is written into the evidence here.

    With `isolate` the candidate gets a process of its own, forked before the job is here, so that it holds none of it.
    Before a search the result so far is sent as `held`: it stands if this process is stopped.
    """
    adopt_orphans()
    give_up_tracing()
    link = Link() if isolate else None
    if link:
        hide_memory()
    job: Job = line.recv()
    _die_with_parent(line, job)
    _redirect(job.log)
    settle(job.threads)
    roots, apart = _read_roots(job)
    reading = Reading(roots, apart)
    reading.begin()
    started = time.monotonic()
    stream = os.fdopen(os.dup(line.fileno()), "wb")

    def tell(kind: str, content: bytes) -> None:
        frames.send(stream, kind.encode() + b" " + content)

    def parcel(found: Examined) -> bytes:
        read, settings = reading.found(), current()
        if link:
            theirs, settings = _left(link, settings)
            read = _joined(read, theirs)
        return _packed(job, found, time.monotonic() - started, read, settings)

    with _scratch(job.scratch):
        if link:
            link.begin(Setting(job.threads, job.device, str(job.scratch), roots, apart), log=1)
        found = examine(
            job,
            lambda stage: tell("stage", stage.encode("utf-8", "replace")),
            lambda found: tell("held", parcel(found)),
            link,
        )
        content = parcel(found)
    sys.stdout.flush()
    sys.stderr.flush()
    tell("done", content)


def _packed(job: Job, found: Examined, seconds: float, read: FilesRead, settings: TorchSettings | None) -> bytes:
    """The result as bytes; in place of one that holds what no file can hold, the reason."""
    try:
        return pack(found, seconds, settings, read)
    except Exception as problem:  # noqa: BLE001  (whatever a falsifier put into its result)
        traceback.print_exc()
        cause = cause_of(problem, Cause.UNPICKLABLE)
        told = f"{type(problem).__name__}: {problem}".encode("utf-8", "backslashreplace").decode("utf-8")
        error = f"its result cannot be kept: {told}"
        record = without_result(platform(job.device), error=error, cause=cause.value)
        return pack(Examined(record, judge(job.claim.source, record)), seconds, settings, read)


def _left(link: Link, otherwise: TorchSettings | None) -> tuple[FilesRead, TorchSettings | None]:
    """The files that the candidate's process says it read, and torch's settings there; it may be dead."""
    with contextlib.suppress(CandidateEnded, TypeError, KeyError):
        said = link.ask("leave")
        names = {
            root: {str(name): str(digest) for name, digest in said["read"][root].items()}
            for root in ("candidate", "working")
        }
        read: FilesRead = {
            "candidate": names["candidate"],
            "working": names["working"],
            "left_out": int(said["read"]["left_out"]),
        }
        return read, said["settings"]
    return {"candidate": {}, "working": {}, "left_out": 0}, otherwise


def _joined(one: FilesRead, other: FilesRead) -> FilesRead:
    return {
        "candidate": {**one["candidate"], **other["candidate"]},
        "working": {**one["working"], **other["working"]},
        "left_out": one["left_out"] + other["left_out"],
    }


def _read_roots(job: Job) -> tuple[dict[str, Path | None], list[Path]]:
    """The folders below which files that are read are noted, and what is left out: weights have a digest of their own."""
    folder = Path(job.candidate_folder)
    roots: dict[str, Path | None] = {"candidate": source_folder(job.candidate, folder), "working": folder}
    weights = [Path(each) for each in (job.weights, opened(job.candidate, folder)) if each]
    return roots, [*weights, job.scratch]


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[None]:
    """A folder for files that a candidate writes between calls, outside of the evidence and open to this user alone.

    It is removed afterwards; if the claim is stopped, the run removes it.
    """
    shutil.rmtree(folder, ignore_errors=True)  # a first try that was killed leaves its folder
    folder.mkdir(mode=0o700)
    os.environ["HARNESS_SCRATCH"] = tempfile.tempdir = str(folder)
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
