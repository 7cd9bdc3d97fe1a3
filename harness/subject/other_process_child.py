"""The other interpreter of `other_process`: it answers each request from a fork of its own."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from harness.subject.frames import receive, send
from harness.subject.torch_settings import settle


def answer(call: Callable[[], Any], threads: int, deterministic: bool) -> Any:
    """What the call returns under these settings."""
    settle(threads)
    if "torch" in sys.modules:
        import torch

        torch.set_deterministic_debug_mode("error" if deterministic else "default")
    return call()


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
            packed = receive(sys.stdin.buffer)
        except EOFError:
            return
        request = cloudpickle.loads(packed)
        reading, writing = os.pipe()
        if os.fork() == 0:
            known = set(sys.modules)
            send(out, cloudpickle.dumps(_answered(request)))
            os.write(writing, "\n".join(sorted(set(sys.modules) - known)).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as names:
            _import(names.read().split())  # what this call had to import, the next one need not
        _, code = os.wait()
        if code:
            send(out, cloudpickle.dumps(f"the call's process ended with code {os.waitstatus_to_exitcode(code)}"))


def _import(names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _answered(request: Any) -> Any:
    """(answer, settings), or one line that says what was raised."""
    try:
        return answer(*request), settings()
    except Exception as problem:  # noqa: BLE001  (raised again, as one line, where the call came from)
        traceback.print_exc()
        return f"{type(problem).__name__}: {problem}"


if __name__ == "__main__":
    main()
