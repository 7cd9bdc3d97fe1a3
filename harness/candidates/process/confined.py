"""Start a program of the candidate so that it can write into one folder alone, if the system can do that."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.candidates.process import landlock
from harness.errors import UserError

SETTING = "HARNESS_ISOLATION"
"""Environment variable: `auto` confines programs where the system can, `none` does not."""
CACHES = ("TMPDIR", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")
"""Environment variables by which programs find a place for files that they need for a while."""


def isolation() -> str:
    """How programs are kept from files here: `landlock` or `none`.

    Raises: UserError for another value of HARNESS_ISOLATION than `auto` or `none`.
    """
    asked = os.environ.get(SETTING, "auto")
    if asked not in ("auto", "none"):
        raise UserError(f"{SETTING}: found {asked!r}, expected auto or none")
    return "landlock" if asked == "auto" and landlock.version() else "none"


def start(words: Sequence[str], room: Path, **options: Any) -> subprocess.Popen[bytes]:
    """`subprocess.Popen` of a program that, where it can be confined, writes below the folder `room` alone.

    Raises: OSError if it did not start.
    """
    if isolation() == "none":
        return subprocess.Popen(words, **options)
    own = room / "tmp"
    own.mkdir(exist_ok=True)
    environment = {**os.environ, **dict.fromkeys(CACHES, str(own))}
    reading, writing = os.pipe()
    command = [sys.executable, "-I", "-S", landlock.__file__, str(room), str(writing), *words]
    try:
        process = subprocess.Popen(command, pass_fds=[writing], env=environment, **options)
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as told:
        hindrance = told.read()  # empty as soon as the program has started
    if hindrance:
        process.communicate()
        raise OSError(None, hindrance.decode("utf-8", "replace"))
    return process
