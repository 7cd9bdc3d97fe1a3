"""The record of one claim: all that a judge reads, as `result.json` holds it under `record`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from harness.measurements.row import Number, Row

Params = dict[str, Any]
"""A case's parameters: whatever YAML gives."""
Entry = Mapping[str, Any]
"""One entry of `falsification_tests`, as YAML gives it; `harness validate` has checked its shape."""
Status = Literal["ran", "crashed", "unsupported", "not_run", "inapplicable"]


class CaseEntry(TypedDict):
    """One case: its number, seed, dtype and explored parameters."""

    index: int
    seed: int
    dtype: str
    params: Params


class Scalar(TypedDict):
    """One number that a falsifier returned by name; `pair` is what it is about."""

    case: int
    name: str
    value: Number
    pair: NotRequired[str]


class Fault(TypedDict):
    """A violation of an implicit limit that the boundary noticed."""

    case: int
    limit: str
    detail: str


class Subject(TypedDict):
    """What one subject (candidate, baseline or mutant) gave over the cases."""

    status: Status
    reason: str
    rows: list[Row]
    scalars: list[Scalar]
    faults: list[Fault]
    cause: NotRequired[str]
    """Why it did not run to its end (`harness.judging.cause.Cause`)."""
    series: NotRequired[dict[str, dict[str, list[Number]]]]
    """Case -> name -> values, for curves; no limit reads them."""
    free: NotRequired[bool]
    """A mutant derived from the baseline's output."""
    skipped: NotRequired[list[int]]
    """Cases that a mutant does not apply to."""
    narrowed: NotRequired[list[str]]
    """Float64 inputs that the candidate rounds to float32 before it uses them."""


class Record(TypedDict):
    """One claim's cases and what every subject gave on them."""

    platform: str
    cases: list[CaseEntry]
    subjects: dict[str, Subject]
    mutants: dict[str, Subject]
    error: NotRequired[str]
    """Why the claim as a whole ended without a result."""
    cause: NotRequired[str]
    """The cause of `error`."""


def lacking(reason: str, cause: str) -> Subject:
    """A subject that could not run: nothing measured, only why."""
    return {"status": "unsupported", "reason": reason, "rows": [], "scalars": [], "faults": [], "cause": cause}


def without_result(
    platform: str, *, candidate: Subject | None = None, error: str | None = None, cause: str | None = None
) -> Record:
    """The record of a claim that ran no case: what its candidate lacks, or the error that ended it, with its cause."""
    found: Record = {
        "platform": platform,
        "cases": [],
        "subjects": {} if candidate is None else {"candidate": candidate},
        "mutants": {},
    }
    if error is not None:
        found["error"] = error
    if cause is not None:
        found["cause"] = cause
    return found
