"""The options of one run."""

from __future__ import annotations

from dataclasses import dataclass

from harness.evidence import body


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
    no_mutants: bool = False
    search_s: float | None = None
    """Seconds by which a search may lengthen the run; None if none was asked for."""
    resume: str | None = None
    memory_mb: int | None = None

    def as_json(self) -> body.Options:
        """The options that decide what is computed; a resumed run takes them from the killed run."""
        return {
            "paths": self.paths,
            "candidate": self.candidate,
            "weights": self.weights,
            "device": self.device,
            "seed": self.seed,
            "select": self.select,
            "no_mutants": self.no_mutants,
            "search_s": self.search_s,
        }
