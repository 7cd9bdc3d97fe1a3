"""Copy the sources to a scratch folder to follow CONTRIBUTING's steps, and run the command from the copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.repository import ROOT


def scratch_copy(folder: Path) -> Path:
    """harness/ and contracts/ copied below `folder`."""
    for name in ("harness", "contracts"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def harness_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m harness ARGUMENTS` with the copy's own code, started in the copy."""
    env = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def edited(file: Path, old: str, new: str) -> None:
    """Replace one piece of text that stands in the file exactly once.

    Raises: AssertionError if it does not.
    """
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file}: {old!r} stands there {text.count(old)} times, expected once"
    file.write_text(text.replace(old, new), encoding="utf-8")


def section(heading: str) -> str:
    """One section of CONTRIBUTING.md, without its heading."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
