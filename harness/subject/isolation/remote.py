"""A candidate in a process of its own, behind the same boundary as one in this process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Any

from harness.subject.boundary import Boundary
from harness.subject.isolation.link import Link
from harness.subject.trace import Trace
from harness.subject.traffic import Traffic


class Isolated:
    """Stands for the candidate that `link` holds."""

    def __init__(self, link: Link) -> None:
        self.link = link


def bounded(target: Any, *, watch: bool, **form: Any) -> tuple[Boundary | RemoteBoundary, Trace | RemoteTrace]:
    """The object that a falsifier receives as `subject`, and the trace of what its calls do.

    `form` are the settings of a Boundary. For an isolated candidate boundary and trace are in its process: a candidate
    that changes Harness there can hide what the trace would say (docs/threat-model.md), but no number.
    """
    if isinstance(target, Isolated):
        subject, opened = _asked(target.link, "open", watch, form)
        return subject, RemoteTrace(target.link, opened)
    trace = Trace(watch=watch)
    return Boundary(target, trace=trace, **form), trace


class RemoteTrace:
    """What the boundary in the candidate's process recorded; the same names as those of a Trace.

    It is asked once, at the first use: read it when the falsifier is done, and before the next case.
    """

    def __init__(self, link: Link, opened: int) -> None:
        self._link = link
        self._opened = opened

    @property
    def inputs_changed(self) -> list[str]:
        return self._texts("inputs_changed")

    @property
    def dtypes_wrong(self) -> list[str]:
        return self._texts("dtypes_wrong")

    def outputs_changed(self) -> list[str]:
        return self._texts("outputs_changed")

    def off_device(self) -> list[str]:
        return self._texts("off_device")

    def _texts(self, name: str) -> list[str]:
        return [str(text) for text in self._found[name]]

    @cached_property
    def _found(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = self._link.ask("faults", self._opened)
        return found


class RemoteTraffic:
    """What the calls in the candidate's process moved; read afresh at each use."""

    def __init__(self, subject: RemoteBoundary) -> None:
        self._subject = subject
        self._counts(clear=False)

    def __getattr__(self, name: str) -> Counter[str]:
        if name not in Traffic.__dataclass_fields__:
            raise AttributeError(name)
        return Counter({str(place): int(count) for place, count in self._counts(clear=False)[name].items()})

    def clear(self) -> None:
        self._counts(clear=True)

    def _counts(self, *, clear: bool) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = _asked(self._subject._link, "traffic", self._subject, clear)
        return found


class RemoteBoundary:
    """A boundary in the candidate's process, by its number there."""

    def __init__(self, link: Link, number: int) -> None:
        self._link = link
        self._number = number

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        kind, value = _asked(self._link, "get", self, name)
        if kind != "callable":
            return value
        return lambda *args, **kwargs: _asked(self._link, "call", self, name, args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _asked(self._link, "call", self, None, args, kwargs)

    def offers(self, name: str) -> bool:
        """Whether the subject has `name`."""
        return bool(_asked(self._link, "offers", self, name))

    @property
    def traffic(self) -> RemoteTraffic:
        """As `Boundary.traffic`. Raises: Unsupported as there."""
        return RemoteTraffic(self)

    def in_other_process(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """As `Boundary.in_other_process`; the other interpreter is a child of the candidate's process."""
        return _asked(self._link, "elsewhere", self, name, args, kwargs)

    def together(self, *calls: Callable[[], Any]) -> tuple[list[Any], int]:
        """As `Boundary.together`: each call asks from a thread here and is answered in a thread there."""
        results: dict[int, Any] = {}
        problems: list[BaseException] = []

        def work(me: int) -> None:
            try:
                with self._link.lane(1 + me):
                    results[me] = calls[me]()
            except BaseException as problem:  # noqa: BLE001  (raised again by the caller's thread)
                problems.append(problem)

        threads = [threading.Thread(target=work, args=(me,)) for me in range(len(calls))]
        for thread in threads:
            thread.start()
        steps = int(_asked(self._link, "together", self, len(calls)))
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]
        return [results[me] for me in range(len(calls))], steps


def _asked(link: Link, verb: str, *args: Any) -> Any:
    return link.ask(verb, *args, number=_number, remote=lambda number: RemoteBoundary(link, number))


def _number(value: Any) -> int | None:
    return value._number if type(value) is RemoteBoundary else None
