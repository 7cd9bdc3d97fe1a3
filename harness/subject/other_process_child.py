"""The child interpreter of `other_process`: it forks one process per request, and the fork sends the answer."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import Any

from harness.subject.frames import receive, send
from harness.subject.torch_settings import settle


def answer(call: Callable[[], Any], threads: int, deterministic: bool) -> Any:
    """Apply the settings, then return the result of the call."""
    settle(threads)
    if "torch" in sys.modules:
        import torch

        torch.set_deterministic_debug_mode("error" if deterministic else "default")
    return call()


def settings() -> dict[str, float]:
    """The settings of this process that decide whether results repeat, and its process id."""
    found = {"process": float(os.getpid()), "hash_seed": float(os.environ.get("PYTHONHASHSEED", "nan"))}
    if "torch" in sys.modules:
        import torch

        found["threads"] = float(torch.get_num_threads())
        found["deterministic"] = float(torch.are_deterministic_algorithms_enabled())
    return found


def main() -> None:
    """Read requests from stdin and answer them on stdout, each in a fork; text that a subject prints goes to stderr."""
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
            send(out, _packed(_answered(request)))
            os.write(writing, "\n".join(sorted(set(sys.modules) - known)).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as names:
            _import(names.read().split())  # so that the next fork finds these modules already imported
        _, code = os.wait()
        if code:
            send(out, cloudpickle.dumps(f"the call's process ended with code {os.waitstatus_to_exitcode(code)}"))


def _import(names: list[str]) -> None:
    """Import the named modules; skip those that fail."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _packed(answer: Any) -> bytes:
    """The pickled answer; in place of one that cannot be pickled, why."""
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(answer))
    except Exception as problem:  # noqa: BLE001  (pickle tells it by several types)
        refusal = pickle.PicklingError(
            f"the answer cannot pass to another process: {type(problem).__name__}: {problem}"
        )
        return bytes(cloudpickle.dumps(refusal))


def _answered(request: Any) -> Any:
    """(answer, settings), or one line with the type and message of the exception."""
    try:
        return answer(*request), settings()
    except Exception as problem:  # noqa: BLE001  (`ask` raises this line again in the calling process)
        traceback.print_exc()
        return f"{type(problem).__name__}: {problem}"


if __name__ == "__main__":
    main()
