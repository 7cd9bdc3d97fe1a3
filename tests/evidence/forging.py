"""Ask the gate about the working folder."""

from __future__ import annotations

from harness.commands import main


def gate(*words: str) -> int:
    """The exit code of `harness gate` for the target that ships."""
    return main.main(["gate", "evidence", "--target", "doubling", *words])
