"""What one examined claim hands over to be written into the evidence."""

from __future__ import annotations

from dataclasses import dataclass

from harness.contract.cases import CaseSpec
from harness.evidence.counterexample import Attempt
from harness.judging.judgement import Judgement
from harness.judging.record import Record
from harness.judging.result import Stages


@dataclass(frozen=True)
class MadeFrom:
    """What a counterexample was found with, so that `harness replay` can run it again."""

    candidate: str
    candidate_folder: str
    weights: str | None
    device: str
    seed: int


@dataclass(frozen=True)
class FollowUp:
    """What follows from a violation: the smallest case that still violates, and the stage that went wrong."""

    attempt: Attempt
    start: CaseSpec
    """The case that the search for a smaller one began with."""
    reproducible: bool
    """Whether that case violates a limit when it is run on its own."""
    made_from: MadeFrom
    stages: Stages | None
    """None where the falsifier has no companion that tells stages."""


@dataclass(frozen=True)
class Examined:
    """A claim's record and its judgement; after a violation, what followed."""

    record: Record
    judgement: Judgement
    follow_up: FollowUp | None = None
