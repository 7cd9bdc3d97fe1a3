"""One run of a program: started without a shell, watched, stopped with all it started, its last words kept."""

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

KEPT = 64 << 10
"""Bytes of stdout and of stderr that are kept, the last ones; a program that prints without end fills no disk."""
UNSUPPORTED = 77
"""The exit code of a program that does not have what it is asked for; automake's code for a skipped test."""


class ProgramFailed(Exception):
    """It did not start, was killed by a signal, or did not end in time: the claim is ERROR."""


class ProgramRefused(RuntimeError):
    """It ended with an exit code of its own, which claims about refusals may count as one; elsewhere ERROR."""


class ProgramLacks(Exception):
    """It says that it does not have what it was asked for: UNVERIFIED."""

    unsupported = True


def run(words: Sequence[str], request: Path, *, folder: Path, seconds: float, call: str) -> None:
    """Run `words` with the request folder as last word, and return when it exited with 0.

    Units:  seconds of wall time; stdout and stderr end in this process's own, which a claim's log keeps.
    Raises: ProgramFailed, ProgramRefused or ProgramLacks, each with one line.
    """
    shown = f"`{' '.join(words)}`"
    try:
        process = subprocess.Popen(
            [*words, str(request)],
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
        # What it started and left behind goes with it, or it would hold the pipes open and outlive its claim.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        printed, said = (tail.end() for tail in tails)
        print(printed + said, file=sys.stderr, end="")
    if code:
        _blame(code, shown, call, _last_line(said))


def _blame(code: int, shown: str, call: str, words: str) -> None:
    told = f": {words}" if words else ""
    if code == UNSUPPORTED:
        raise ProgramLacks(f"{shown} has no `{call}`{told}")
    if code < 0:
        with contextlib.suppress(ValueError):
            raise ProgramFailed(
                f"{shown} was killed by signal {-code} ({signal.Signals(-code).name}) on `{call}`{told}"
            )
        raise ProgramFailed(f"{shown} was killed by signal {-code} on `{call}`{told}")
    raise ProgramRefused(f"{shown} ended with exit code {code} on `{call}`{told}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(c if c.isprintable() else "?" for c in lines[-1])[:300] if lines else ""


class _Tail:
    """The last bytes of a pipe, read as they come so that the writer never waits."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._kept = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self._pipe.fileno(), KEPT):
            self._kept = (self._kept + chunk)[-KEPT:]

    def end(self) -> str:
        """All that was kept, as text; called when the writers are dead."""
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._pipe.close()
        return self._kept.decode("utf-8", errors="replace")
