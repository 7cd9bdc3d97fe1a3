"""The claim's process's hold on the process of an isolated candidate: ask, get an answer or its exception."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from harness.subject.isolation import wire
from harness.subject.isolation.failure import again
from harness.subject.isolation.lane import Lane
from harness.subject.isolation.server import Server, Setting

LANES = 2
"""As many calls of a subject run at the same time (`Boundary.together`)."""


class CandidateEnded(RuntimeError):
    """The candidate's process is gone, or speaks nonsense."""


class Link:
    """A process that was forked to hold the candidate. Make it before this process knows what is to be judged."""

    def __init__(self) -> None:
        pairs = [socket.socketpair() for _ in range(1 + LANES)]
        self._pid = os.fork()
        if self._pid == 0:
            Server().serve(pairs[0][1], [theirs for _, theirs in pairs[1:]])
        for _, theirs in pairs:
            theirs.close()
        self._main = pairs[0][0]
        self._lanes = [Lane(ours) for ours, _ in pairs]
        self._here = threading.local()
        self._ended = ""

    def begin(self, setting: Setting, log: int) -> None:
        """Tell the process its settings; what it prints goes to the open file `log`."""
        with contextlib.suppress(OSError):  # `ask` tells why it is gone
            socket.send_fds(self._main, [b"0"], [log])
        self.ask("begin", setting)

    def ask(
        self, verb: str, *args: Any, number: Callable[[Any], int | None] = lambda _: None, remote: Any = None
    ) -> Any:
        """The answer to one question. `number` and `remote` translate objects that stay with the candidate.

        Raises: what the candidate raised, as `harness.subject.isolation.failure` tells it; CandidateEnded.
        """
        question = wire.ask((verb, *args), number)
        if self._ended:
            raise CandidateEnded(self._ended)
        lane = self._lanes[getattr(self._here, "lane", 0)]
        try:
            lane.send(question)
            kind, value = wire.decode(lane.receive(), remote or _nothing)
        except (OSError, EOFError):
            self._ended = self._ended or f"the candidate's process {self._how()}"
            raise CandidateEnded(self._ended) from None
        except (wire.Malformed, ValueError, TypeError) as problem:
            raise CandidateEnded(f"the candidate's process sent what is no answer: {problem}") from None
        if kind == "raised":
            raise again(value)
        return value

    @contextlib.contextmanager
    def lane(self, index: int) -> Iterator[None]:
        """Within it, this thread asks over the lane `index` (1 or more) and ends it."""
        self._here.lane = index
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self._lanes[index].send(wire.ask(("end",), lambda _: None))
            self._here.lane = 0

    def _how(self) -> str:
        with contextlib.suppress(ChildProcessError):
            code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return "ended"


def _nothing(_: int) -> Any:
    raise wire.Malformed("an object where none was asked for")
