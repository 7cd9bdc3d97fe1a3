"""One call in another interpreter, started for the purpose with an environment of its own.

For claims about what must not depend on the process: the order of a set of strings, a generator seeded from the
clock, a number of threads. The interpreter (`other_process_child`) unpacks a request, which imports what the call
needs, and forks for the call: no call sees what an earlier one left behind, and torch is imported once. Requests
travel by cloudpickle, between processes of the same claim only.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from harness.subject.frames import receive, send

_interpreters: dict[tuple[tuple[str, str], ...], subprocess.Popen[bytes]] = {}


class Request(NamedTuple):
    """A function without arguments, and the settings to call it under."""

    call: Callable[[], Any]
    threads: int
    deterministic: bool
    """Whether torch is asked for deterministic algorithms."""


def ask(request: Request, environment: Mapping[str, str]) -> tuple[Any, dict[str, float]]:
    """The answer to a request in another process, and the settings that the process reports.

    Raises: RuntimeError with the reason if the call raises or its process dies. A call that hangs is stopped with
            the claim, by the claim's own time limit.
    """
    import cloudpickle

    for name, module in list(sys.modules.items()):
        if name.startswith("harness_file_"):  # a user's file, known here under a name that no other process has
            cloudpickle.register_pickle_by_value(module)
    interpreter = _interpreter(environment)
    assert interpreter.stdin is not None
    assert interpreter.stdout is not None
    try:
        send(interpreter.stdin, cloudpickle.dumps(tuple(request)))
        found = cloudpickle.loads(receive(interpreter.stdout))
    except (BrokenPipeError, EOFError):
        raise RuntimeError("another process died before it answered") from None
    if isinstance(found, str):
        raise RuntimeError(f"in another process: {found}")
    answered: tuple[Any, dict[str, float]] = found
    return answered


def _interpreter(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    key = tuple(sorted(environment.items()))
    if key not in _interpreters or _interpreters[key].poll() is not None:
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        _interpreters[key] = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.subject.other_process_child"],  # the path is this process's
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, **environment},
        )
        atexit.register(_interpreters[key].kill)
    return _interpreters[key]
