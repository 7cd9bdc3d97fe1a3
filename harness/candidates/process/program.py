"""Run a program once without a shell, with a time limit; kill its process group; keep the end of its output."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from harness.candidates.process import confined

KEPT = 64 << 10
"""How many of the last bytes of stdout, and of stderr, are kept; endless output cannot fill the memory."""
UNSUPPORTED = 77
"""The exit code by which a program says that it does not implement a call; automake's code for a skipped test."""


class ProgramFailed(Exception):
    """The program did not start, was killed by a signal, or exceeded its time limit: the claim is ERROR."""


class ProgramRefused(RuntimeError):
    """The program exited with another code: a claim about refusals may count it as a refusal, others are ERROR."""


class ProgramLacks(Exception):
    """The program exited with 77, it does not implement the call: the claim is UNVERIFIED."""

    unsupported = True


def run(words: Sequence[str], request: Path, *, room: Path, folder: Path, seconds: float, call: str) -> None:
    """Run `words` with the request folder as last argument; return if it exits with 0.

    Where the system can confine it, the program writes below `room` alone.

    Units:  seconds of wall time; its output is copied to this process's stderr, which the claim's log keeps.
    Raises: ProgramFailed, ProgramRefused or ProgramLacks, each with one line.
    """
    shown = f"`{' '.join(words)}`"
    try:
        process = confined.start(
            [*words, str(request)],
            room,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as problem:
        raise ProgramFailed(f"{shown} did not start: {problem.strerror}") from None
    assert process.stdout is not None
    assert process.stderr is not None
    tails = [_Tail(process.stdout), _Tail(process.stderr)]
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise ProgramFailed(f"{shown} did not answer `{call}` within {seconds:g} s") from None
    finally:
        # Kill its children too: they would hold the pipes open and outlive the claim.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        stdout, stderr = (tail.end() for tail in tails)
        print(stdout + stderr, file=sys.stderr, end="")
    if code:
        _raise_failure(code, shown, call, _last_line(stderr))


def _raise_failure(code: int, shown: str, call: str, last_line: str) -> None:
    detail = f": {last_line}" if last_line else ""
    if code == UNSUPPORTED:
        raise ProgramLacks(f"{shown} has no `{call}`{detail}")
    if code < 0:
        with contextlib.suppress(ValueError):
            raise ProgramFailed(
                f"{shown} was killed by signal {-code} ({signal.Signals(-code).name}) on `{call}`{detail}"
            )
        raise ProgramFailed(f"{shown} was killed by signal {-code} on `{call}`{detail}")
    raise ProgramRefused(f"{shown} ended with exit code {code} on `{call}`{detail}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(c if c.isprintable() else "?" for c in lines[-1])[:300] if lines else ""


class _Tail:
    """A thread that reads a pipe continuously, so that the writer never blocks, and keeps the last bytes."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._kept = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self._pipe.fileno(), KEPT):
            self._kept = (self._kept + chunk)[-KEPT:]

    def end(self) -> str:
        """The kept bytes as text; call this after the writers have exited."""
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._pipe.close()
        return self._kept.decode("utf-8", errors="replace")
