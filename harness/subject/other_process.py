"""Call a function in another interpreter that has its own environment variables.

Claims use this to check that results do not depend on the process: on the order of a set of strings, a generator
seeded from the clock, a number of threads. The interpreter (`other_process_child`) unpickles a request, which imports
the modules that the call needs, and forks a process for the call. So no call sees the state that an earlier call left,
and torch is imported once. Requests are pickled with cloudpickle and pass only between processes of the same claim.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from harness.subject.frames import receive, send

_interpreters: dict[tuple[tuple[str, str], ...], subprocess.Popen[bytes]] = {}


class Request(NamedTuple):
    """A function without arguments, and the settings under which to call it."""

    call: Callable[[], Any]
    threads: int
    deterministic: bool
    """Whether torch raises an error in an operation that has no deterministic algorithm."""


def ask(request: Request, environment: Mapping[str, str]) -> tuple[Any, dict[str, float]]:
    """Run a request in another process; returns the call's result and the settings that the process reports.

    A call that hangs ends when the claim's own time limit stops the claim.
    Raises: RuntimeError with the reason if the call raises or its process dies; PicklingError for an answer that cannot
        pass.
    """
    import cloudpickle

    for name, module in list(sys.modules.items()):
        if name.startswith("harness_file_"):  # a user's file: only this process can import this module name
            cloudpickle.register_pickle_by_value(module)
    interpreter = _interpreter(environment)
    assert interpreter.stdin is not None
    assert interpreter.stdout is not None
    try:
        send(interpreter.stdin, cloudpickle.dumps(tuple(request)))
        found = cloudpickle.loads(receive(interpreter.stdout))
    except (BrokenPipeError, EOFError):
        raise RuntimeError("another process died before it answered") from None
    if isinstance(found, pickle.PicklingError):
        raise found
    if isinstance(found, str):
        raise RuntimeError(f"in another process: {found}")
    answered: tuple[Any, dict[str, float]] = found
    return answered


def _interpreter(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    key = tuple(sorted(environment.items()))
    if key not in _interpreters or _interpreters[key].poll() is not None:
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        _interpreters[key] = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.subject.other_process_child"],  # -P adds no folder to the path
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, **environment},
        )
        atexit.register(_interpreters[key].kill)
    return _interpreters[key]
