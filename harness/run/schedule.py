"""Run jobs in parallel, each in its own process forked from a preloaded forkserver, with time and memory limits."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from harness.judging.cause import Cause

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PRELOAD = ["harness.run.warm"]
TIME_FACTOR = 10
"""A claim is stopped after this many times its budget_s; the factor leaves room for slow machines."""
MIN_SECONDS = 10.0


@dataclass
class Running:
    """One claim whose process is running; `ends` is the monotonic time at which it is stopped."""

    claim: str
    process: Any
    line: Connection
    ends: float
    seconds: float
    held: str = ""
    """The verdict of a claim whose files are whole while it is searched further."""


@dataclass(frozen=True)
class Problem:
    """Why a claim's process ended without a verdict."""

    reason: str
    cause: Cause


@dataclass(frozen=True)
class Outcome:
    """A claim that ended: the verdict that its process sent, or why there is none."""

    claim: str
    verdict: str | None
    problem: Problem | None = None
    cut_short: bool = False
    """Whether the claim was stopped in its search, after its verdict."""


def server(threads: int) -> Any:
    """The forkserver's context: it fixes BLAS threads before NumPy loads, loads torch once, and never uses CUDA."""
    for name in THREADS:
        os.environ[name] = str(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def call(context: Any, function: Callable[..., None], *args: Any) -> Any:
    """Run `function(*args, line)` in its own process and return the object that it sends over `line`.

    Raises: RuntimeError if the process ends before it sends one.
    """
    ours, theirs = context.Pipe()
    process = context.Process(target=function, args=(*args, theirs))
    process.start()
    theirs.close()
    try:
        answer = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"{function.__name__} ended with exit code {process.exitcode}") from None
    process.join()
    return answer


def run_jobs(
    context: Any,
    target: Callable[..., None],
    jobs: list[Any],
    *,
    workers: int,
    memory: int,
    watch: Callable[[str, str], None] = lambda claim, stage: None,
) -> Iterator[Outcome]:
    """Yield each job's outcome as it ends; at most `workers` jobs run at once, each with at most `memory` bytes."""
    waiting, active = list(jobs), list[Running]()
    try:
        while waiting or active:
            while waiting and len(active) < workers:
                active.append(_start(context, target, waiting.pop(0)))
            wait([r.line for r in active] + [r.process.sentinel for r in active], timeout=0.1)
            for running in list(active):
                outcome = _poll(running, memory, watch)
                if outcome:
                    active.remove(running)
                    yield outcome
    except KeyboardInterrupt:
        yield from _kept(active, watch)
        raise
    finally:
        for running in active:
            _kill(running)


def _start(context: Any, target: Callable[..., None], job: Any) -> Running:
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(job, theirs))
    process.start()
    theirs.close()
    seconds = max(MIN_SECONDS, TIME_FACTOR * job.claim.budget_s) + (job.search_s or 0)
    return Running(job.claim.id, process, ours, time.monotonic() + seconds, seconds)


def _poll(running: Running, memory: int, watch: Callable[[str, str], None]) -> Outcome | None:
    alive = running.process.is_alive()  # check first: a process that has died may have left a last message in the pipe
    outcome = _read(running, watch)
    if outcome:
        return outcome
    if not alive:
        code = running.process.exitcode
        how = f"signal {-code} ({_signal(-code)})" if code and code < 0 else f"exit code {code}"
        return _without(running, Cause.PROCESS_DIED, f"its process crashed with {how}")
    if time.monotonic() > running.ends:
        _kill(running)
        limit = f"its time limit ({TIME_FACTOR} x budget_s)"
        return _without(running, Cause.OUT_OF_TIME, f"stopped after {running.seconds:g} s, {limit}")
    used = _resident(running.process.pid)
    if used > memory:
        _kill(running)
        text = f"stopped at {used >> 20} MiB of memory; the limit is {memory >> 20} MiB"
        return _without(running, Cause.OUT_OF_MEMORY, text)
    return None


def _read(running: Running, watch: Callable[[str, str], None]) -> Outcome | None:
    """Take what the process has sent; returns the outcome if it is done."""
    with contextlib.suppress(EOFError, OSError):
        while running.line.poll():
            kind, text = running.line.recv()
            if kind == "done":
                _end(running)
                return Outcome(running.claim, text)
            if kind == "held":
                running.held = text
            else:
                watch(running.claim, text)
    return None


def _kept(active: list[Running], watch: Callable[[str, str], None]) -> Iterator[Outcome]:
    """After an interrupt: the claims that have their verdict, stopped in their search."""
    for running in list(active):
        outcome = _read(running, watch)
        if outcome is None and running.held:
            _kill(running)
            outcome = Outcome(running.claim, running.held, cut_short=True)
        if outcome:
            active.remove(running)
            yield outcome


def _without(running: Running, cause: Cause, reason: str) -> Outcome:
    """The outcome of a claim that was stopped: its verdict if it has one, for only its search was cut short."""
    if running.held:
        return Outcome(running.claim, running.held, cut_short=True)
    return Outcome(running.claim, None, Problem(reason, cause))


def _signal(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _resident(pid: int) -> int:
    """Resident memory of a process and its children, in bytes."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += member.memory_info().rss
    return total


def _end(running: Running) -> None:
    running.process.join(timeout=5)
    if running.process.is_alive():
        _kill(running)


def _kill(running: Running) -> None:
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(running.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    running.process.kill()
    running.process.join()
