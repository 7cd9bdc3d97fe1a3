"""What the judge says of a claim, as JSON holds it: its result.json, its row in run.json, its stages.json."""

from __future__ import annotations

from typing import NotRequired, TypedDict, final

from harness.judging.record import CaseEntry, Record, Status
from harness.measurements.row import Number

Measurements = dict[str, dict[str, Number]]
"""Measurement -> dtype -> number."""


class Violation(TypedDict):
    """A limit that does not hold, with the place that decided it."""

    limit: str
    measure: str
    dtype: str
    value: Number
    bound: Number
    margin: float | None
    case: int | None
    pair: str | None
    at: list[int] | None
    got: Number | None
    want: Number | None


class ShortFate(TypedDict):
    """What became of a mutant, as a claim's row in run.json has it."""

    name: str
    status: Status
    killed: bool
    by: str | None
    margin: float | None


class Fate(ShortFate):
    """What became of a mutant, with every limit that kills it."""

    free: bool
    weak: bool
    implicit: bool
    kills: dict[str, float | None]
    reason: str


class MutantRow(Fate):
    """What became of a mutant of a claim, as `harness mutants --json` prints it."""

    claim: str


class Smallest(TypedDict):
    """The smallest violating case that was found."""

    case: CaseEntry
    violated: list[Violation]
    reproducible: bool
    shrunk_from: CaseEntry


class Result(TypedDict):
    """result.json."""

    id: str
    contract: str
    claim_digest: str
    verdict: str
    reason: str
    cause: str | None
    root_cause_class: str | None
    measurements: Measurements
    violated: list[Violation]
    mutants: list[Fate]
    first_divergent_stage: str | None
    if_fails: str
    device: str
    seconds: float
    record: Record
    counterexample: NotRequired[Smallest]


class StageError(TypedDict):
    """One stage's error in unit round-offs, fed the reference's inputs and as errors add up."""

    stage: str
    alone_u: Number
    propagated_u: Number


@final
class Localised(TypedDict):
    """What the stages say of the smallest counterexample."""

    dtype: str
    limit_u: float
    first_divergent: str | None
    independently_bad: list[str]
    stages: list[StageError]


@final
class NotLocalised(TypedDict):
    """Why the stages say nothing."""

    unsupported: str


Stages = Localised | NotLocalised
"""stages.json."""


class ClaimRow(TypedDict):
    """One claim in run.json and in what `harness run --json` prints."""

    id: str
    contract: str
    verdict: str
    reason: str
    selected: bool
    cause: str | None
    root_cause_class: str | None
    measurements: Measurements
    violated: list[Violation]
    mutants: list[ShortFate]
    first_divergent_stage: str | None
    seconds: float


class MergedRow(ClaimRow):
    """One claim over several runs, with the id of the run that speaks for it."""

    run: str
