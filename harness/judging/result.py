"""The types of a claim's results in JSON: its result.json, its row in run.json, its stages.json."""

from __future__ import annotations

from typing import NotRequired, TypedDict, final

from harness.judging.record import CaseEntry, Record, Status
from harness.measurements.row import Number

Measurements = dict[str, dict[str, Number]]
"""Measurement -> dtype -> number."""


class Violation(TypedDict):
    """A limit that does not hold, with the case, pair and element that decide it."""

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
    """Whether a mutant was killed, in the short form of a claim's row in run.json."""

    name: str
    status: Status
    killed: bool
    by: str | None
    margin: float | None


class Fate(ShortFate):
    """Whether a mutant was killed, with every limit that kills it."""

    free: bool
    weak: bool
    implicit: bool
    kills: dict[str, float | None]
    reason: str


class MutantRow(Fate):
    """A claim's mutant and whether it was killed, as `harness mutants --json` prints it."""

    claim: str


class Smallest(TypedDict):
    """The smallest violating case that shrinking found."""

    case: CaseEntry
    violated: list[Violation]
    reproducible: bool
    shrunk_from: CaseEntry


class Edit(TypedDict):
    """One change of a searched case's array, on one row (a slice along the last axis) or, at -1, on every row."""

    array: str
    kind: str
    row: int
    by: float


class Worst(TypedDict):
    """The case closest to breaking a limit, among the fixed and the searched ones that broke none."""

    case: CaseEntry
    edits: list[Edit]
    limit: str
    margin: float
    """The value divided by the limit's bound."""


class Hit(TypedDict):
    """The searched case that breaks a limit or raises; the record holds it under its number, without the edits."""

    case: int
    edits: list[Edit]


class Search(TypedDict):
    """What the search after the fixed cases tried."""

    cases: int
    ended: str
    """`bound`, `found`, or `stopped` if the claim's process ended before its search did."""
    left_out: int
    """Cases that could not run, or on which the baseline itself breaks a limit."""
    unconfirmed: int
    """Cases that broke a limit by no more than round-off explains, or under one seed alone."""
    raised: str | None
    """The first exception that the candidate alone raised; on values that no case declares it changes no verdict."""
    worst: Worst | None
    found: Hit | None


class TorchSettings(TypedDict):
    """The settings of torch that decide how it computes, in one process.

    Each `fp32` is torch's `fp32_precision`: `tf32`, `ieee`, or `none` where nothing was set; only `tf32` rounds inputs.
    """

    threads: int
    deterministic: str
    """`default`, `warn` or `error`: what an operation without a deterministic kernel does."""
    cublas_workspace: str | None
    cublas_fp32: str
    cublas_fp16_reduced: bool
    cublas_bf16_reduced: bool
    cudnn_fp32: str
    cudnn_deterministic: bool
    cudnn_benchmark: bool
    mkldnn_fp32: str


class FilesRead(TypedDict):
    """The files that a claim's process opened for reading, by their names below two folders, with their SHA-256."""

    candidate: dict[str, str]
    """Below the folder of the candidate's Python file."""
    working: dict[str, str]
    """Below the folder in which the run was started, and not below the candidate's."""
    left_out: int
    """How many have no digest, because they are too many or too large."""


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
    settings: TorchSettings | None
    """torch's settings in the claim's process when the claim ended; None if it did not run or torch is not there."""
    seconds: float
    record: Record
    read: NotRequired[FilesRead]
    """Left out if its process did not run to its end."""
    search: NotRequired[Search]
    """Left out if nothing was searched."""
    transposed: NotRequired[list[str]]
    """As in stages.json."""
    counterexample: NotRequired[Smallest]


class StageError(TypedDict):
    """One stage's error in unit round-offs: `alone_u` with the reference's inputs, `propagated_u` with the inputs that
    the earlier stages computed."""

    stage: str
    alone_u: Number
    propagated_u: Number


@final
class Localised(TypedDict):
    """The errors of the stages on the smallest counterexample."""

    dtype: str
    limit_u: float
    first_divergent: str | None
    independently_bad: list[str]
    stages: list[StageError]
    transposed: NotRequired[list[str]]
    """Square tensors any one of which, transposed in the reference, gives the candidate's first bad stage."""


@final
class NotLocalised(TypedDict):
    """Why the counterexample was not localised to a stage."""

    unsupported: str


Stages = Localised | NotLocalised
"""stages.json."""


class ClaimRow(TypedDict):
    """One claim in run.json and in the output of `harness run --json`."""

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
    survived_on: list[str]
    """The platforms on which the candidate survived and every mutant ran and was killed."""
    first_divergent_stage: str | None
    seconds: float


class MergedRow(ClaimRow):
    """One claim merged over several runs, with the id of the run that its row comes from."""

    run: str
