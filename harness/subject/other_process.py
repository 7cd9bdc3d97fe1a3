"""One call of a subject's function in another interpreter, started for the purpose with an environment of its own.

For claims about what must not depend on the process: the order of a set of strings, a generator seeded from the
clock, a number of threads. The interpreter unpacks a request, which imports what it needs, and forks for the call:
what one call leaves behind the next does not see, and torch is imported once. Requests travel by cloudpickle,
between processes of the same claim only.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import struct
import subprocess
import sys
import traceback
from collections.abc import Mapping
from typing import Any, BinaryIO

LENGTH = struct.Struct("<Q")
_interpreters: dict[tuple[tuple[str, str], ...], subprocess.Popen[bytes]] = {}


def call(request: Any, environment: Mapping[str, str]) -> tuple[Any, dict[str, float]]:
    """The answer of `answer(request)` in another process, and what that process says of its settings.

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
        _send(interpreter.stdin, cloudpickle.dumps(request))
        found = cloudpickle.loads(_receive(interpreter.stdout))
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
            [sys.executable, "-P", "-m", "harness.subject.other_process"],  # the path is this process's
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, **environment},
        )
        atexit.register(_interpreters[key].kill)
    return _interpreters[key]


def answer(request: Mapping[str, Any]) -> Any:
    """Call `request["function"]` through a boundary like the one it came from; its result as NumPy."""
    from types import SimpleNamespace

    from harness.subject.boundary import Boundary, Trace
    from harness.trial.worker import settle

    settle(int(request["threads"]))
    if request["deterministic"] and "torch" in sys.modules:
        import torch

        torch.use_deterministic_algorithms(True)
    target = SimpleNamespace(**{request["name"]: request["function"]})
    boundary = Boundary(target, trace=Trace(), **request["boundary"])
    return getattr(boundary, request["name"])(*request["args"], **request["kwargs"])


def settings() -> dict[str, float]:
    """What decides whether numbers repeat, as this process has it."""
    found = {"process": float(os.getpid()), "hash_seed": float(os.environ.get("PYTHONHASHSEED", "nan"))}
    if "torch" in sys.modules:
        import torch

        found["threads"] = float(torch.get_num_threads())
        found["deterministic"] = float(torch.are_deterministic_algorithms_enabled())
    return found


def main() -> None:
    """Answer requests from stdin on stdout, each in a fork; whatever a subject prints goes to stderr."""
    import cloudpickle

    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            packed = _receive(sys.stdin.buffer)
        except EOFError:
            return
        request = cloudpickle.loads(packed)
        reading, writing = os.pipe()
        if os.fork() == 0:
            known = set(sys.modules)
            _send(out, cloudpickle.dumps(_answered(request)))
            os.write(writing, "\n".join(sorted(set(sys.modules) - known)).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as names:
            _import(names.read().split())  # what this call had to import, the next one need not
        _, code = os.wait()
        if code:
            _send(out, cloudpickle.dumps(f"the call's process ended with code {os.waitstatus_to_exitcode(code)}"))


def _import(names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _answered(request: Any) -> Any:
    """(answer, settings), or one line that says what was raised."""
    try:
        return answer(request), settings()
    except Exception as problem:  # noqa: BLE001  (raised again, as one line, where the call came from)
        traceback.print_exc()
        return f"{type(problem).__name__}: {problem}"


def _send(stream: BinaryIO | Any, data: bytes) -> None:
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def _receive(stream: BinaryIO | Any) -> bytes:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return bytes(data)


if __name__ == "__main__":
    main()
