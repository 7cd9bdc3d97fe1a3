"""Run commands of Harness as users do, each in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.repository import NUMPY_ALONE, environment

HARNESS = [sys.executable, "-m", "harness"]
"""The words that start the command line; no script needs to be on PATH."""


def started(command: list[str], folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command after it has ended, whatever its exit code; started in `folder`, with `settings` in its environment."""
    return subprocess.run(
        command, cwd=folder, env=environment(**settings), capture_output=True, text=True, timeout=1800, check=False
    )


def harness(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`harness ARGUMENTS` after it has ended; started in `folder`, with `settings` in its environment."""
    return started([*HARNESS, *arguments], folder, **settings)


def light(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The same where torch is not installed, for contracts and candidates that use NumPy alone."""
    return harness(folder, *arguments, **{**NUMPY_ALONE, **settings})


def as_json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What a command with `--json` printed."""
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def claims_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """The claims of `harness run --json` by their ids."""
    return {claim["id"]: claim for claim in as_json(done)["claims"]}
