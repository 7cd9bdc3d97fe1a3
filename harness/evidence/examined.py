"""The result of examining one claim, from which its evidence files are written."""

from __future__ import annotations

from dataclasses import dataclass

from harness.contract.cases import CaseSpec
from harness.evidence.counterexample import Attempt
from harness.judging.judgement import Judgement
from harness.judging.record import Record
from harness.judging.result import Search, Stages


@dataclass(frozen=True)
class MadeFrom:
    """The inputs that found a counterexample; `harness replay` needs them to run it again."""

    candidate: str
    candidate_folder: str
    weights: str | None
    device: str
    seed: int


@dataclass(frozen=True)
class FollowUp:
    """What the engine finds after a violation: the smallest case that still violates, and the stage that went wrong."""

    attempt: Attempt
    start: CaseSpec
    """The case from which the search for a smaller one began."""
    reproducible: bool
    """Whether `start` violates a limit when it is run alone."""
    made_from: MadeFrom
    stages: Stages | None
    """None if the falsifier has no companion `<name>_stages`."""


@dataclass(frozen=True)
class Examined:
    """A claim's record and judgement and, after a violation, its follow-up."""

    record: Record
    judgement: Judgement
    follow_up: FollowUp | None = None
    search: Search | None = None
    """None if nothing was searched."""
