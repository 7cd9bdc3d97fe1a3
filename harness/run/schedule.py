"""Run jobs in parallel, each in its own process forked from a preloaded forkserver, with time and memory limits."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from harness.judging.cause import Cause
from harness.run.family import Family
from harness.run.inbox import Inbox, TooLong
from harness.trial.ending import cause_of

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PRELOAD = ["harness.run.warm"]
TIME_FACTOR = 10
"""A claim is stopped after this many times its budget_s; the factor leaves room for slow machines."""
MIN_SECONDS = 10.0
LONGEST_STAGE = 200
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)
"""Signals that end a process at another's wish."""


@dataclass
class Running:
    """One claim whose process is running; `ends` is the monotonic time at which it is stopped."""

    job: Any
    process: Any
    inbox: Inbox
    family: Family
    ends: float
    seconds: float
    held: bytes = b""
    """The result of a claim that is being searched further."""

    @property
    def claim(self) -> str:
        return str(self.job.claim.id)


@dataclass(frozen=True)
class Problem:
    """Why a claim's process ended without a verdict."""

    reason: str
    cause: Cause
    from_outside: bool = False
    """Whether nothing in the claim's own process ended it; the claim is then tried once again."""


@dataclass(frozen=True)
class Outcome:
    """A claim that ended: the result that its process sent (`harness.evidence.parcel`), or why there is none."""

    claim: str
    found: bytes | None
    problem: Problem | None = None
    cut_short: bool = False
    """Whether the claim was stopped in its search, after its result."""


def server(threads: int) -> Any:
    """The forkserver's context: it fixes BLAS threads before NumPy loads, loads torch once, and never uses CUDA."""
    for name in THREADS:
        os.environ[name] = str(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def call(context: Any, function: Callable[..., None], *args: Any) -> Any:
    """Run `function(*args, line)` in its own process and return the JSON that it sends over `line` with `answer`.

    Raises: RuntimeError if the process ends before it sends any, or sends something else: it runs foreign code.
    """
    ours, theirs = context.Pipe()
    process = context.Process(target=function, args=(*args, theirs))
    process.start()
    theirs.close()
    try:
        sent = json.loads(ours.recv_bytes())
    except EOFError:
        process.join()
        raise RuntimeError(f"{function.__name__} ended with exit code {process.exitcode}") from None
    except ValueError:
        process.kill()
        raise RuntimeError(f"{function.__name__} sent what is no JSON") from None
    process.join()
    return sent


def answer(line: Connection, value: Any) -> None:
    """Send what `call` returns: plain data, for the parent executes nothing that it gets."""
    line.send_bytes(json.dumps(value).encode("utf-8"))


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
    waiting, active, again = list(jobs), list[Running](), set[str]()
    try:
        while waiting or active:
            while waiting and len(active) < workers:
                started = _start(context, target, waiting.pop(0), memory)
                if isinstance(started, Running):
                    active.append(started)
                else:
                    yield started
            wait([each for r in active for each in _signs(r)], timeout=0.1)
            for running in list(active):
                outcome = _poll(running, memory, watch)
                if not outcome:
                    continue
                active.remove(running)
                if not (outcome.problem and outcome.problem.from_outside):
                    yield outcome
                elif running.claim not in again:
                    again.add(running.claim)
                    waiting.insert(0, running.job)
                else:
                    twice = replace(outcome.problem, reason=f"{outcome.problem.reason}, twice")
                    yield replace(outcome, problem=twice)
    except KeyboardInterrupt:
        yield from _kept(active, watch)
        raise
    finally:
        for running in active:
            _end(running)


def _start(context: Any, target: Callable[..., None], job: Any, memory: int) -> Running | Outcome:
    try:
        ours, theirs = context.Pipe()
        process = context.Process(target=target, args=(theirs,))
        _started(process)
    except OSError as problem:
        cause = cause_of(problem, Cause.COULD_NOT_START)
        return Outcome(job.claim.id, None, Problem(f"no process could be started: {problem}", cause))
    theirs.close()
    with contextlib.suppress(OSError):  # a process that died meanwhile is seen by `_poll`
        ours.send(job)
    seconds = max(MIN_SECONDS, TIME_FACTOR * job.claim.budget_s) + (job.search_s or 0)
    inbox = Inbox(ours, longest=memory)
    return Running(job, process, inbox, Family(process.pid), time.monotonic() + seconds, seconds)


def _started(process: Any) -> None:
    """Start a process. A forkserver that died is found dead only now; a second one is then started."""
    try:
        process.start()
    except (ConnectionError, EOFError):
        process._popen = None
        process.start()


def _signs(running: Running) -> list[Any]:
    """What becomes ready when the worker says something or ends. A dead forkserver's sign is always ready."""
    return [running.inbox, running.process.sentinel] if running.family.served else [running.inbox]


def _poll(running: Running, memory: int, watch: Callable[[str, str], None]) -> Outcome | None:
    # Check first: a process that has died may have left a last message in the pipe.
    alive = running.process.is_alive() or running.family.lives
    outcome = _read(running, watch)
    if outcome:
        return outcome
    if not alive:
        _end(running)
        return _died(running)
    if time.monotonic() > running.ends:
        _end(running)
        limit = f"its time limit ({TIME_FACTOR} x budget_s)"
        return _without(running, Problem(f"stopped after {running.seconds:g} s, {limit}", Cause.OUT_OF_TIME))
    used = running.family.resident()
    if used > memory:
        _end(running)
        text = f"stopped at {used >> 20} MiB of memory; the limit is {memory >> 20} MiB"
        return _without(running, Problem(text, Cause.OUT_OF_MEMORY))
    return None


def _died(running: Running) -> Outcome:
    """The outcome of a claim whose process is dead without having said that it is done."""
    code = running.process.exitcode
    if not running.family.served:
        text = "its process died together with the server that started it"
        return _without(running, Problem(text, Cause.KILLED, from_outside=True))
    if code is None or code >= 0:
        return _without(running, Problem(f"its process crashed with exit code {code}", Cause.PROCESS_DIED))
    how = f"signal {-code} ({_signal(-code)})"
    if -code not in FROM_OUTSIDE:
        return _without(running, Problem(f"its process crashed with {how}", Cause.PROCESS_DIED))
    if running.family.out_of_memory:
        text = f"the system killed its process with {how}, for its memory had run out"
        return _without(running, Problem(text, Cause.OUT_OF_MEMORY, from_outside=True))
    return _without(running, Problem(f"its process was killed with {how}", Cause.KILLED, from_outside=True))


def _read(running: Running, watch: Callable[[str, str], None]) -> Outcome | None:
    """Take what the process has sent; returns the outcome if it is done."""
    try:
        for kind, content in running.inbox.take():
            if kind == "done":
                _end(running)
                return Outcome(running.claim, content)
            if kind == "held":
                running.held = content
            elif kind == "stage":
                watch(running.claim, content.decode("utf-8", "replace")[:LONGEST_STAGE])
    except TooLong as problem:
        _end(running)
        return _without(running, Problem(str(problem), Cause.OUT_OF_MEMORY))
    return None


def _kept(active: list[Running], watch: Callable[[str, str], None]) -> Iterator[Outcome]:
    """After an interrupt: the claims that have their result, stopped in their search."""
    for running in list(active):
        outcome = _read(running, watch)
        if outcome is None and running.held:
            _end(running)
            outcome = Outcome(running.claim, running.held, cut_short=True)
        if outcome:
            active.remove(running)
            yield outcome


def _without(running: Running, problem: Problem) -> Outcome:
    """The outcome of a claim that was stopped: its result if it has one, for only its search was cut short."""
    if running.held:
        return Outcome(running.claim, running.held, cut_short=True)
    return Outcome(running.claim, None, problem)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _end(running: Running) -> None:
    """End the worker and all that belongs to it; let the forkserver say how it ended."""
    running.family.end()
    running.process.join(timeout=5)
    running.inbox.close()
