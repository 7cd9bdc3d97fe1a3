"""Run one case alone and judge it, with the baseline's recorded results on the other cases for comparison."""

from __future__ import annotations

import numpy as np

from harness.contract.cases import CaseSpec
from harness.evidence.counterexample import Attempt, case_entry
from harness.judging.findings import findings
from harness.judging.record import Entry, Record, Subject
from harness.measurements.table import MEASUREMENTS
from harness.subject.boundary import Unsupported
from harness.trial.experiment import Experiment, faults, observe, rows, scalars

POOLED = tuple(name for name, entry in MEASUREMENTS.items() if not entry.alone)
"""Measurements that need many cases; a single case is judged, and shrunk, by the other measurements only."""


def attempt(
    experiment: Experiment,
    claim: Entry,
    record: Record,
    spec: CaseSpec,
    stored: dict[str, np.ndarray] | None = None,
) -> Attempt:
    """Run candidate and baseline on one case and judge that case alone.

    The baseline's pool is its recorded rows for the other cases plus its new rows for this case.
    """
    case = experiment.make(spec, stored)
    if experiment.special:
        given, _ = observe(experiment, experiment.baseline, case, "baseline")
        experiment.outputs.update({(spec.index, pair): got for pair, (got, _) in given.pairs.items()})
    observation, trace = observe(experiment, experiment.candidate, case, "candidate")
    subject: Subject = {
        "status": "ran",
        "reason": "",
        "rows": rows(experiment, case, observation),
        "scalars": scalars(spec.index, observation),
        "faults": faults(case, trace),
    }
    subjects: dict[str, Subject] = {}
    if experiment.baseline is not None:
        expected, _ = observe(experiment, experiment.baseline, case, "baseline")
        held = record["subjects"]["baseline"]
        others = [row for row in held["rows"] if row["case"] != spec.index]
        subjects["baseline"] = {**held, "rows": others + rows(experiment, case, expected)}
    known = [c for c in record["cases"] if c["index"] != spec.index]
    alone: Record = {**record, "cases": [*known, case_entry(spec)], "subjects": subjects}
    # The other cases stay in the record because the baseline is pooled over them; only this case is judged.
    found = [f for f in findings(claim, alone, subject, spec.index) if not f.holds and f.measure not in POOLED]
    return Attempt(spec, found, dict(case.arrays), dict(observation.pairs))


def violates(experiment: Experiment, claim: Entry, record: Record, spec: CaseSpec) -> bool:
    """Whether the case violates a limit when it is run alone; False if the case cannot run."""
    try:
        return bool(attempt(experiment, claim, record, spec).broken)
    except Unsupported:
        return False
    except Exception:  # noqa: BLE001  (a crash on another case is not this violation)
        return False
