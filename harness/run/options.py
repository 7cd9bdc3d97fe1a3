"""What one run was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Options:
    """The options of one run, as the command line or pytest gives them."""

    paths: list[str]
    candidate: str = "torch"
    weights: str | None = None
    device: str = "auto"
    evidence: str = "evidence"
    seed: int = 0
    workers: int | None = None
    select: str = ""
    resume: str | None = None
    memory_mb: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The options that decide what is computed; a resumed run takes them from the run that was killed."""
        keys = ("paths", "candidate", "weights", "device", "seed", "select")
        return {key: getattr(self, key) for key in keys}
