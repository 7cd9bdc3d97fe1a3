"""Every limit, written and implicit, against one subject's record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.judging.limits import Finding, Sample, evaluate, parse
from harness.judging.measure import Row

IMPLICIT = ("shape", "dtype", "finite", "inputs_unchanged", "outputs_unchanged")


def findings(claim: Mapping[str, Any], record: Mapping[str, Any], subject: Mapping[str, Any]) -> list[Finding]:
    """Every limit, implicit ones first, against one subject."""
    seen = sample(claim, record, subject)
    return faults(subject, seen.cases) + [f for limit in parse(claim["accept"]) for f in evaluate(limit, seen)]


def faults(subject: Mapping[str, Any], cases: dict[int, dict[str, Any]]) -> list[Finding]:
    """Violations of the implicit limits: only what failed is listed."""
    seen: dict[str, tuple[int, str, Row | None]] = {}
    for row in subject["rows"]:
        for key, name in (("shape", "shape"), ("kind", "dtype"), ("nonfinite", "finite")):
            if key in row:
                text = f"{row[key]} not finite" if key == "nonfinite" else row[key]
                seen.setdefault(name, (row["case"], f"`{row['pair']}`: {text}", row))
    for fault in subject["faults"]:
        seen.setdefault(fault["limit"], (fault["case"], fault["detail"], None))
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
        for name, (index, text, row) in sorted(seen.items(), key=lambda item: IMPLICIT.index(item[0]))
    ]


def sample(claim: Mapping[str, Any], record: Mapping[str, Any], subject: Mapping[str, Any]) -> Sample:
    """What limits are evaluated on: the subject's rows beside the baseline's, for the cases to judge."""
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
        judged=_judged(record, subject),
    )


def _judged(record: Mapping[str, Any], subject: Mapping[str, Any]) -> frozenset[int] | None:
    """The cases to judge: one that is asked for alone, or all that a mutant applies to."""
    if "judged" in record:
        return frozenset(record["judged"])
    skipped = subject.get("skipped", [])
    return frozenset(c["index"] for c in record["cases"]) - frozenset(skipped) if skipped else None
