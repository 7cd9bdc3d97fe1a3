"""Falsifiers of training-run audits: a sound record, and the same with one fault, or several."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.observation import Observation
from harness.reference.training.run_audit import audit

MEASURES = {
    "false_alarms": "number of faults found that the record does not have",
    "missed": "number of faults that the record has and that are not found",
    "wrong_cause": "number of faults found whose root-cause class is another one",
    "wrong_numbers": "number of faults found whose two numbers are not those of the record",
}
FAULTS = ("tokens", "exhausted", "early", "resume", "device", "parameters")


def audited(subject: Any, case: Case, *, faults: str, steps: int) -> Observation:
    """What an audit finds in a record with the faults named, against what is in it.

    Units: faults are names of `FAULTS` joined by +, or none.
    """
    planted = [] if faults == "none" else faults.split("+")
    record = _record(case, steps)
    for fault in planted:
        _plant(record, fault)
    want = {fault: (cause, found, expected) for fault, cause, found, expected in audit(record)}
    got = {fault: (cause, found, expected) for fault, cause, found, expected in subject.audit_run(record)}
    assert len(want) >= len(planted), "a planted fault is not in the record"
    both = sorted(want.keys() & got.keys())
    near = [np.allclose(got[f][1:], want[f][1:], rtol=1e-9, atol=0) for f in both]
    return Observation(
        false_alarms=len(got.keys() - want.keys()),
        missed=len(want.keys() - got.keys()),
        wrong_cause=sum(got[f][0] != want[f][0] for f in both),
        wrong_numbers=sum(not same for same in near),
    )


def _record(case: Case, steps: int) -> dict[str, Any]:
    """A run that consumed what was planned of a corpus that holds it, where it should, at 20 tokens a parameter."""
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
