"""Two calls that run at the same time, in threads that hand each other the turn after every step."""

from __future__ import annotations

import contextlib
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

PATIENCE = 5.0
"""Seconds that a thread waits for its turn; after that both run on freely. Calls that exclude each other need it."""
OTHERS = (str(Path(__file__).parent), sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"])
"""Code whose lines are no steps of a NumPy implementation."""


class Turns:
    """Whose turn it is. Thread 0 begins; `hand_over` gives the turn away and returns when it is back."""

    def __init__(self) -> None:
        self.now = 0
        self.running = {0, 1}
        self.free = False
        self.taken = [0, 0]
        """Steps that each thread took while the other one was running."""
        self._changed = threading.Condition()

    def begin(self, me: int) -> None:
        with self._changed:
            self._wait(me)

    def hand_over(self, me: int) -> None:
        with self._changed:
            if self.free or 1 - me not in self.running:
                return
            self.taken[me] += 1
            self.now = 1 - me
            self._changed.notify_all()
            self._wait(me)

    def end(self, me: int) -> None:
        with self._changed:
            self.running.discard(me)
            self.now = 1 - me
            self._changed.notify_all()

    def _wait(self, me: int) -> None:
        other = 1 - me
        if not self._changed.wait_for(lambda: self.free or self.now == me or other not in self.running, PATIENCE):
            self.free = True
            self._changed.notify_all()


def together(calls: Sequence[Callable[[], Any]], device: str, arrays: str) -> tuple[list[Any], int]:
    """The results of one or two calls, each in a thread of its own, on CUDA in a stream of its own.

    Also the number of steps that each of two took while the other was running, the lesser one. A step is an operation
    of torch, or a line of Python where the implementation computes with NumPy. The order of steps does not depend on
    the clock, unless one call waits for the other (a lock): then they run on freely.
    Raises: what the calls raise.
    """
    turns = Turns()
    for absent in range(len(calls), 2):
        turns.end(absent)
        turns.now = 0
    return _in_threads(calls, turns, device, arrays), min(turns.taken)


def _in_threads(calls: Sequence[Callable[[], Any]], turns: Turns, device: str, arrays: str) -> list[Any]:
    results: dict[int, Any] = {}
    problems: list[BaseException] = []

    def work(me: int) -> None:
        try:
            turns.begin(me)
            with _stream(device), _steps(lambda: turns.hand_over(me), arrays):
                results[me] = calls[me]()
        except BaseException as problem:  # noqa: BLE001  (raised again by the caller's thread)
            problems.append(problem)
        finally:
            turns.end(me)

    threads = [threading.Thread(target=work, args=(me,)) for me in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return [results[me] for me in range(len(calls))]


@contextlib.contextmanager
def _stream(device: str) -> Iterator[None]:
    """A stream of this thread's own on CUDA; nothing where the device has no streams."""
    if not device.startswith("cuda"):
        yield
        return
    import torch

    with torch.cuda.device(device), torch.cuda.stream(torch.cuda.Stream()):
        yield


def _steps(step: Callable[[], None], arrays: str) -> Any:
    """A context in which `step` runs before every operation of torch, or before every line of Python."""
    if arrays != "torch":
        return _lines(step)
    from torch.utils._python_dispatch import TorchDispatchMode

    class Steps(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            step()
            return func(*args, **(kwargs or {}))

    return Steps()


@contextlib.contextmanager
def _lines(step: Callable[[], None]) -> Iterator[None]:
    def trace(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code.co_filename.startswith(("<", *OTHERS)):
            return None
        if event == "line":
            step()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
