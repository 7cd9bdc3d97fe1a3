"""The options of one run."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from harness.contract.location import BUILT_IN, HERE
from harness.evidence import body
from harness.subject.candidate import BASELINE, built_in


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
    isolate: bool = False
    """Whether a candidate in Python runs in a process that knows nothing of the claim."""
    resume: str | None = None
    memory_mb: int | None = None

    @property
    def replay(self) -> str:
        """What `harness replay` must be told beside the counterexample: evidence names no code that it may run."""
        words = [] if self.candidate in (BASELINE, *built_in()) else ["--candidate", self.candidate]
        own = [path for path in self.paths if not path.startswith(BUILT_IN) and Path(path).parts[:1] != (HERE,)]
        words += ["--contracts", own[0]] if len(own) == 1 else []
        words += ["--weights", self.weights] if self.weights else []
        return "".join(f" {shlex.quote(word)}" for word in words)

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
            "isolate": self.isolate,
        }
