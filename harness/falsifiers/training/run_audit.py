"""Falsifier of training-run audits: a sound record, and records with one or several faults."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.observation import Observation
from harness.reference.training.run_audit import audit

MEASURES = {
    "false_alarms": "number of reported faults that the record does not have",
    "missed": "number of faults in the record that are not reported",
    "wrong_cause": "number of reported faults with a wrong root-cause class",
    "wrong_numbers": "number of reported faults with a wrong number",
}
FAULTS = ("tokens", "exhausted", "early", "resume", "device", "parameters")


def audited(subject: Any, case: Case, *, faults: str, steps: int) -> Observation:
    """The faults that an audit reports for a record with planted faults, against the reference's audit.

    Units: faults are names of `FAULTS` joined by +, or none.
    """
    planted = [] if faults == "none" else faults.split("+")
    record = _record(case, steps)
    for fault in planted:
        _plant(record, fault)
    want = {fault: (cause, found, expected) for fault, cause, found, expected in audit(record)}
    got = {fault: (cause, found, expected) for fault, cause, found, expected in subject.audit_run(record)}
    assert len(want) >= len(planted), "the reference's audit does not report a planted fault"
    both = sorted(want.keys() & got.keys())
    near = [np.allclose(got[f][1:], want[f][1:], rtol=1e-9, atol=0) for f in both]
    return Observation(
        false_alarms=len(got.keys() - want.keys()),
        missed=len(want.keys() - got.keys()),
        wrong_cause=sum(got[f][0] != want[f][0] for f in both),
        wrong_numbers=sum(not same for same in near),
    )


def _record(case: Case, steps: int) -> dict[str, Any]:
    """A sound record: all planned tokens were consumed in order, the corpus suffices, and 20 tokens per parameter."""
    sizes = case.integers("tokens", (steps,), 48, 65)
    firsts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    noise = case.normal("noise", (steps,), std=1e-4)
    consumed = int(sizes.sum())
    rows = zip(sizes, firsts, noise, strict=True)
    return {
        "parameters": consumed // 20,
        "planned_tokens": consumed,
        "corpus_tokens": -(-consumed // 2),
        "epochs": 2,
        "device_asked": "cuda",
        "stop": "planned",
        "steps": [
            {"tokens": int(n), "first": int(first), "devices": ["cuda", "cuda"], "loss": 4.0 + float(e)}
            for n, first, e in rows
        ],
    }


def _plant(record: dict[str, Any], fault: str) -> None:
    steps = record["steps"]
    if fault == "tokens":
        record["planned_tokens"] = int(1.02 * record["planned_tokens"])
    elif fault == "exhausted":
        record["corpus_tokens"] -= 40
    elif fault == "early":
        record["stop"] = "early stop"
        for i, step in enumerate(steps):
            step["loss"] = 5.0 - 0.004 * i
    elif fault == "resume":
        for step in steps[len(steps) // 2 :]:
            step["first"] -= steps[0]["tokens"]
    elif fault == "device":
        steps[-1]["devices"] = ["cuda", "cpu"]
    else:
        record["parameters"] *= 3
