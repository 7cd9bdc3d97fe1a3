"""A verdict, and the findings that it was derived from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.judging.cause import Cause
from harness.judging.limits import Finding
from harness.judging.result import Fate, Measurements, Violation
from harness.judging.verdict import Verdict
from harness.measurements.row import Number


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reason, cause, violations, measurements and fates of mutants."""

    verdict: Verdict
    reason: str
    cause: Cause | None
    violated: list[Violation]
    measurements: Measurements
    mutants: list[Fate]


def violation(finding: Finding) -> Violation:
    """A finding that does not hold, as plain JSON data."""
    row = finding.row
    return {
        "limit": finding.limit,
        "measure": finding.measure,
        "dtype": finding.dtype,
        "value": _plain(finding.value),
        "bound": _plain(finding.bound),
        "margin": finding.margin if math.isfinite(finding.margin) else None,
        "case": finding.case,
        "pair": finding.pair,
        "at": row.get("at") if row else None,
        "got": row.get("got") if row else None,
        "want": row.get("want") if row else None,
    }


def _plain(number: float) -> Number:
    return number if math.isfinite(number) else str(number)
