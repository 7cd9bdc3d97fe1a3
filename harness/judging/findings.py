"""Evaluate every limit, written or implicit, on one subject's record."""

from __future__ import annotations

import math

from harness.judging.limits import Finding, Sample, evaluate, parse
from harness.judging.record import Entry, Params, Record, Subject
from harness.measurements.row import Row

IMPLICIT = ("shape", "dtype", "finite", "inputs_unchanged", "outputs_unchanged", "on_device")


def findings(claim: Entry, record: Record, subject: Subject, only: int | None = None) -> list[Finding]:
    """Evaluate every limit, implicit ones first, on one subject; only on the case `only` if it is given."""
    data = sample(claim, record, subject, only)
    return faults(subject, data.cases) + [f for limit in parse(claim["accept"]) for f in evaluate(limit, data)]


def faults(subject: Subject, cases: dict[int, Params]) -> list[Finding]:
    """Violations of the implicit limits, the first of each; an implicit limit that holds gives no finding."""
    first: dict[str, tuple[int, str, Row | None]] = {}
    for row in subject["rows"]:
        violated = {
            "shape": row.get("shape"),
            "dtype": row.get("kind"),
            "finite": f"{row['nonfinite']} not finite" if "nonfinite" in row else None,
        }
        for name, text in violated.items():
            if text is not None:
                first.setdefault(name, (row["case"], f"`{row['pair']}`: {text}", row))
    for fault in subject["faults"]:
        first.setdefault(fault["limit"], (fault["case"], fault["detail"], None))
    return [
        Finding(
            limit=f"{name} ({text})",
            measure=name,
            dtype=cases.get(index, {}).get("dtype", "?"),
            value=math.nan,
            bound=math.nan,
            holds=False,
            margin=math.inf,
            case=index,
            pair=row["pair"] if row else None,
            row=row,
        )
        for name, (index, text, row) in sorted(first.items(), key=lambda item: IMPLICIT.index(item[0]))
    ]


def sample(claim: Entry, record: Record, subject: Subject, only: int | None = None) -> Sample:
    """The input of `evaluate`: the subject's rows, the baseline's rows, and the cases to judge."""
    given = claim.get("given", {})
    baseline = record["subjects"].get("baseline")
    return Sample(
        cases={
            c["index"]: {**given, **c["params"], "dtype": c["dtype"], "device": record["platform"]}
            for c in record["cases"]
        },
        rows=subject["rows"],
        scalars=subject["scalars"],
        baseline=baseline["rows"] if baseline else [],
        scale=claim.get("scale"),
        judged=_judged(record, subject, only),
    )


def _judged(record: Record, subject: Subject, only: int | None) -> frozenset[int] | None:
    """The cases to judge: the case `only`, or all cases that the subject did not skip; None means all."""
    if only is not None:
        return frozenset({only})
    skipped = subject.get("skipped", [])
    return frozenset(c["index"] for c in record["cases"]) - frozenset(skipped) if skipped else None
