"""The record of one claim: everything that the judge reads, stored under `record` in `result.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from harness.measurements.row import Number, Row

Params = dict[str, Any]
"""A case's parameters: names and any values that YAML can hold."""
Entry = Mapping[str, Any]
"""One entry of `falsification_tests` as read from YAML; `harness validate` has checked its shape."""
Status = Literal["ran", "crashed", "unsupported", "not_run", "inapplicable"]


class CaseEntry(TypedDict):
    """One case: its number, seed, dtype and explored parameters."""

    index: int
    seed: int
    dtype: str
    params: Params


class Scalar(TypedDict):
    """One number that a falsifier returned under a name; `pair` names the output that it describes."""

    case: int
    name: str
    value: Number
    pair: NotRequired[str]


class Fault(TypedDict):
    """A violation of an implicit limit that the boundary detected."""

    case: int
    limit: str
    detail: str


class Subject(TypedDict):
    """The results of one subject (candidate, baseline or mutant) over the cases."""

    status: Status
    reason: str
    rows: list[Row]
    scalars: list[Scalar]
    faults: list[Fault]
    cause: NotRequired[str]
    """Why it did not run to its end (`harness.judging.cause.Cause`)."""
    series: NotRequired[dict[str, dict[str, list[Number]]]]
    """Case -> name -> values, for plots; no limit reads them."""
    free: NotRequired[bool]
    """True for a mutant derived from the baseline's output."""
    skipped: NotRequired[list[int]]
    """Cases that a mutant does not apply to."""
    narrowed: NotRequired[list[str]]
    """The float64 inputs that the candidate rounds to float32 before it uses them."""


class Record(TypedDict):
    """One claim's cases and the results of every subject on them."""

    platform: str
    cases: list[CaseEntry]
    subjects: dict[str, Subject]
    mutants: dict[str, Subject]
    searched: NotRequired[list[int]]
    """Cases that the search added; no mutant ran them."""
    mutants_left_out: NotRequired[bool]
    """True if the run was asked not to run any mutant."""
    error: NotRequired[str]
    """Why the whole claim ended without a result."""
    cause: NotRequired[str]
    """The cause of `error`."""


MOST = 2_000
"""Characters of a reason that the evidence keeps."""


def shortened(reason: str) -> str:
    """A reason of at most MOST characters: what it lacks is counted, and a lone surrogate is escaped."""
    found = reason[: MOST + 1].encode("utf-8", "backslashreplace").decode()
    if len(found) <= MOST:
        return found
    note = f" ... ({len(reason)} characters)"
    return found[: MOST - len(note)] + note


def of_fixed_cases(record: Record) -> Record:
    """The record without the cases that the search added: what the mutants are judged on."""
    added = set(record.get("searched", []))
    if not added:
        return record
    subjects: dict[str, Subject] = {
        name: {**subject, "rows": [row for row in subject["rows"] if row["case"] not in added]}
        for name, subject in record["subjects"].items()
    }
    return {**record, "cases": [c for c in record["cases"] if c["index"] not in added], "subjects": subjects}


def lacking(reason: str, cause: str) -> Subject:
    """The record of a subject that could not run: the reason, and no measurements."""
    return {
        "status": "unsupported",
        "reason": shortened(reason),
        "rows": [],
        "scalars": [],
        "faults": [],
        "cause": cause,
    }


def without_result(
    platform: str, *, candidate: Subject | None = None, error: str | None = None, cause: str | None = None
) -> Record:
    """The record of a claim that ran no case: its candidate cannot run, or an error ended it."""
    found: Record = {
        "platform": platform,
        "cases": [],
        "subjects": {} if candidate is None else {"candidate": candidate},
        "mutants": {},
    }
    if error is not None:
        found["error"] = shortened(error)
    if cause is not None:
        found["cause"] = cause
    return found
