"""Run one case alone and judge it, with the baseline's recorded results on the other cases for comparison."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.case import Case
from harness.contract.cases import CaseSpec
from harness.evidence.counterexample import Attempt, case_entry
from harness.judging.findings import findings
from harness.judging.limits import Finding
from harness.judging.record import Entry, Record, Subject
from harness.measurements.table import MEASUREMENTS
from harness.observation import Observation
from harness.subject.boundary import Unsupported
from harness.subject.isolation.remote import RemoteTrace
from harness.subject.trace import Trace
from harness.trial.experiment import Experiment, faults, observe, rows, scalars

POOLED = tuple(name for name, entry in MEASUREMENTS.items() if not entry.alone)
"""Measurements that need many cases; a single case is judged, and shrunk, by the other measurements only."""


@dataclass(frozen=True)
class Alone:
    """One case run alone, with what the record needs to hold it beside the other cases."""

    attempt: Attempt
    found: list[Finding]
    """Every limit that a single case can break, broken or not."""
    subjects: dict[str, Subject]
    """Candidate and, if the claim has one, baseline: their results on this case alone."""


def alone(
    experiment: Experiment,
    claim: Entry,
    record: Record,
    spec: CaseSpec,
    stored: dict[str, np.ndarray] | None = None,
) -> Alone:
    """Run candidate and baseline on one case and judge that case alone.

    The baseline's pool is its recorded rows for the other cases plus its new rows for this case.
    """
    case = experiment.make(spec, stored)
    if experiment.special:
        given, _ = observe(experiment, experiment.baseline, case, "baseline")
        experiment.outputs.update({(spec.index, pair): got for pair, (got, _) in given.pairs.items()})
    observation, trace = observe(experiment, experiment.candidate, case, "candidate")
    subjects = {"candidate": _subject(experiment, case, observation, trace)}
    if experiment.baseline is not None:
        subjects["baseline"] = _subject(experiment, case, *observe(experiment, experiment.baseline, case, "baseline"))
    # The other cases stay in the record because the baseline is pooled over them; only this case is judged.
    joined = with_case(record, spec, subjects)
    found = [f for f in findings(claim, joined, subjects["candidate"], spec.index) if f.measure not in POOLED]
    broken = [f for f in found if not f.holds]
    return Alone(Attempt(spec, broken, dict(case.arrays), dict(observation.pairs)), found, subjects)


def attempt(
    experiment: Experiment,
    claim: Entry,
    record: Record,
    spec: CaseSpec,
    stored: dict[str, np.ndarray] | None = None,
) -> Attempt:
    """The same as `alone`, without what only a record needs."""
    return alone(experiment, claim, record, spec, stored).attempt


def with_case(record: Record, spec: CaseSpec, subjects: dict[str, Subject]) -> Record:
    """The record with one more case, or with new results of a case that it holds; the mutants did not run it."""
    index = spec.index
    known = [case for case in record["cases"] if case["index"] != index]
    joined = dict(record["subjects"])
    for name, fresh in subjects.items():
        held = record["subjects"][name]
        joined[name] = {
            **held,
            "rows": [row for row in held["rows"] if row["case"] != index] + fresh["rows"],
            "scalars": [each for each in held["scalars"] if each["case"] != index] + fresh["scalars"],
            "faults": [fault for fault in held["faults"] if fault["case"] != index] + fresh["faults"],
        }
    return {**record, "cases": [*known, case_entry(spec)], "subjects": joined}


def _subject(experiment: Experiment, case: Case, observation: Observation, trace: Trace | RemoteTrace) -> Subject:
    return {
        "status": "ran",
        "reason": "",
        "rows": rows(experiment, case, observation),
        "scalars": scalars(case.index, observation),
        "faults": faults(case, trace),
    }


def violates(experiment: Experiment, claim: Entry, record: Record, spec: CaseSpec) -> bool:
    """Whether the case violates a limit when it is run alone; False if the case cannot run."""
    try:
        return bool(attempt(experiment, claim, record, spec).broken)
    except Unsupported:
        return False
    except Exception:  # noqa: BLE001  (a crash on another case is not this violation)
        return False
