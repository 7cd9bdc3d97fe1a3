"""Audits of a run's record: three of them agree on every pair of faults, and a record without steps is refused."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from harness.candidates.torch import audit_run
from harness.case import Case
from harness.falsifiers.baselines import plain_run_audit
from harness.falsifiers.training.run_audit import FAULTS, _plant, _record
from harness.reference.training.run_audit import audit


@pytest.mark.parametrize("planted", [(), *((f,) for f in FAULTS), *combinations(FAULTS, 2)])
def test_each_fault_is_found_with_its_cause_and_numbers(planted: tuple[str, ...]) -> None:
    record = _record(Case(dtype="float64", seed=3), 40)
    assert audit(record) == []
    for fault in planted:
        _plant(record, fault)
    want = sorted(audit(record))
    assert len(want) >= len(planted)
    for found in (audit_run(record), plain_run_audit.audit_run(record)):
        assert [f[:2] for f in sorted(found)] == [f[:2] for f in want]
        assert np.allclose([f[2:] for f in sorted(found)], [f[2:] for f in want], rtol=1e-9)


@pytest.mark.parametrize("steps", [[], [{"tokens": 3, "first": 0, "loss": 1.0}]])
def test_a_record_that_says_nothing_is_refused(steps: list[Any]) -> None:
    record = {**_record(Case(dtype="float64"), 20), "steps": steps}
    for function in (audit, audit_run):
        with pytest.raises(ValueError, match="record: found no steps"):
            function(record)
