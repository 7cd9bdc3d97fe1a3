"""The process that holds an isolated candidate: no reference, no contract and no path of the evidence is in it.

It is forked before the claim arrives, closes every descriptor but its own, and lets the system confine it. It answers
until the claim's process closes the line.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, NoReturn

from harness.confinement import CACHES, isolation, landlock
from harness.subject import candidate
from harness.subject.boundary import Boundary
from harness.subject.device import register
from harness.subject.isolation import kernel, wire
from harness.subject.isolation.failure import told
from harness.subject.isolation.lane import Lane
from harness.subject.reading import Reading
from harness.subject.torch_settings import current, settle
from harness.subject.trace import Trace


class Setting(NamedTuple):
    """What the process is told before it loads a candidate."""

    threads: int
    device: str
    room: str
    """The folder below which it may write."""
    roots: dict[str, Path | None]
    apart: list[Path]
    """As `Reading` takes them."""


class Server:
    """The candidate, the objects that it returned, and what was recorded about its calls since the last `open`."""

    def __init__(self) -> None:
        self._target: Any = None
        self._held: dict[int, Boundary] = {}
        self._numbers = itertools.count()
        """No number is given twice, so that one of an earlier case is refused."""
        self._opened = -1
        self._trace = Trace()
        self._reading: Reading | None = None
        self._lanes: list[Lane] = []

    def run(self, lane: Lane) -> None:
        """Answer what comes over a lane until it ends or says `end`."""
        while True:
            verb = ""
            try:
                verb, *args = wire.asked(lane.receive(), self._held.__getitem__)
                if verb == "end":
                    return
                answer = ("answer", getattr(self, f"do_{verb}")(*args))
            except EOFError:
                return
            except Exception as problem:  # noqa: BLE001  (raised again in the claim's process)
                if verb != "load":  # whoever asked tells where a candidate's import failed
                    traceback.print_exc()
                answer = ("raised", told(problem))
            lane.send(self._packed(answer))

    def _packed(self, answer: Any) -> bytes:
        try:
            return wire.encode(answer, self._number)
        except Exception as problem:  # noqa: BLE001  (whatever the candidate's result holds)
            traceback.print_exc()
            return wire.encode(("raised", told(problem)), self._number)

    def _number(self, value: Any) -> int:
        if not isinstance(value, Boundary):
            raise TypeError(f"{type(value).__name__} cannot pass to another process")
        number = next(self._numbers)
        self._held[number] = value
        return number

    def do_begin(self, setting: Setting) -> None:
        settle(setting.threads)
        register(setting.device)
        self._reading = Reading(setting.roots, setting.apart)
        self._reading.begin()
        if isolation() != "none":
            own = Path(setting.room) / "tmp"
            own.mkdir(exist_ok=True)
            os.environ.update(dict.fromkeys(CACHES, str(own)))
            tempfile.tempdir = str(own)
            landlock.confine([setting.room])

    def do_load(self, spec: str, folder: str) -> None:
        self._target = candidate.load(spec, folder)

    def do_open(self, watch: bool, form: dict[str, Any]) -> tuple[Boundary, int]:
        """The candidate behind a new boundary, and its number; what was held for the one before is forgotten."""
        self._held.clear()
        self._trace = Trace(watch=watch)
        self._opened += 1
        return Boundary(self._target, trace=self._trace, **form), self._opened

    def do_get(self, at: Boundary, name: str) -> tuple[str, Any]:
        found = getattr(at, name)
        return ("callable", None) if isinstance(found, FunctionType) else ("value", found)

    def do_call(self, at: Boundary, name: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        function: Callable[..., Any] = at if name is None else getattr(at, name)
        return function(*args, **kwargs)

    def do_offers(self, at: Boundary, name: str) -> bool:
        return at.offers(name)

    def do_elsewhere(self, at: Boundary, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return at.in_other_process(name, *args, **kwargs)

    def do_traffic(self, at: Boundary, clear: bool) -> dict[str, dict[str, int]]:
        traffic = at.traffic
        if clear:
            traffic.clear()
        return {name: dict(counts) for name, counts in vars(traffic).items()}

    def do_together(self, at: Boundary, calls: int) -> int:
        """Answer the lanes of that many calls in turn; returns the lesser number of steps."""
        serving = [lambda lane=lane: self.run(lane) for lane in self._lanes[:calls]]
        return at.together(*serving)[1]

    def do_faults(self, opened: int) -> dict[str, list[str]]:
        """What was recorded since the `open` of that number, which must be the last one."""
        if opened != self._opened:
            raise LookupError(f"the trace of opening {opened} is gone; the last one is {self._opened}")
        trace = self._trace
        return {
            "inputs_changed": trace.inputs_changed,
            "outputs_changed": trace.outputs_changed(),
            "dtypes_wrong": trace.dtypes_wrong,
            "off_device": trace.off_device(),
        }

    def do_leave(self) -> dict[str, Any]:
        """What the evidence keeps about the process itself: torch's settings and the files that it read."""
        return {"settings": current(), "read": self._reading.found() if self._reading else None}

    def serve(self, main: socket.socket, lanes: list[socket.socket]) -> NoReturn:
        """Answer until the claim's process is gone, then end this process. Call this in a fresh fork."""
        code = 1
        try:
            kernel.die_with_parent()
            _, (log,), _, _ = socket.recv_fds(main, 1, 1)
            os.dup2(log, 1)
            os.dup2(log, 2)
            _close_all_but({each.fileno() for each in [main, *lanes]})
            sys.stdout = os.fdopen(1, "w", buffering=1, errors="backslashreplace", closefd=False)
            sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
            self._lanes = [Lane(each) for each in lanes]
            self.run(Lane(main))
            code = 0
        except SystemExit as asked:
            code = asked.code if isinstance(asked.code, int) else 1
        except BaseException:  # noqa: BLE001  (nothing of the parent's stack may run on in this fork)
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)


def _close_all_but(kept: set[int]) -> None:
    """Close what the fork inherited: above all the line to the run, by which results are told."""
    for number in sorted(int(name) for name in os.listdir("/dev/fd")):
        if number > 2 and number not in kept:
            with contextlib.suppress(OSError):
                os.close(number)
