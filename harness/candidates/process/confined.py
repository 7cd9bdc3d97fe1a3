"""Start a program of the candidate so that it can write into one folder alone, if the system can do that."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.confinement import CACHES, isolation, landlock


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
