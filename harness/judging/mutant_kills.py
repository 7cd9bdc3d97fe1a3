"""Check that a falsifier can fail: a limit must kill every mutant, and every limit must kill a mutant."""

from __future__ import annotations

import math

from harness.judging.findings import IMPLICIT, findings
from harness.judging.limits import Group, Limit
from harness.judging.record import Entry, Record, Subject
from harness.judging.result import Fate, ShortFate

STRONG_MARGIN = 10.0
"""A mutant whose margin over the limit that kills it is below this factor is called weak."""


def mutant_fate(name: str, subject: Subject, claim: Entry, record: Record) -> Fate:
    """Judge one mutant: whether it is killed, by which limit and margin, and every limit that kills it."""
    broken = [f for f in findings(claim, record, subject) if not f.holds] if subject["status"] == "ran" else []
    kills: dict[str, float] = {}
    for finding in broken:
        kills[finding.limit] = max(kills.get(finding.limit, 0.0), finding.margin)
    implicit = [finding for finding in broken if finding.measure in IMPLICIT]
    best = implicit[0] if implicit else max(broken, key=lambda f: f.margin, default=None)
    margin = best.margin if best and math.isfinite(best.margin) else None
    return {
        "name": name,
        "free": bool(subject.get("free")),
        "status": subject["status"],
        "killed": best is not None,
        "by": best.limit if best else None,
        "margin": margin,
        "weak": bool(best) and margin is not None and margin < STRONG_MARGIN,
        "implicit": bool(implicit),
        "kills": {label: (m if math.isfinite(m) else None) for label, m in kills.items()},
        "reason": "" if subject["status"] == "ran" else subject["reason"],
    }


def vacuous(claim: Entry, limits: list[Limit | Group], mutants: list[Fate]) -> str:
    """Why nothing shows that the falsifier can fail: a mutant survived, or a limit kills none; '' if neither."""
    ran = [m for m in mutants if m["status"] not in ("not_run", "inapplicable")]
    for mutant in ran:
        if not mutant["killed"]:
            crashed = f" (it did not run: {mutant['reason']})" if mutant["reason"] else ""
            return f"mutant {mutant['name']} survived{crashed}"
    if not ran:
        return "no mutant ran"
    absent = sorted(set(claim.get("mutants", ())) - {m["name"] for m in mutants})
    if absent:
        return f"the record says nothing of mutant {', '.join(absent)}, which the claim names"
    exempt = bool(claim.get("mutants_exempt"))
    # Mutants derived from the baseline's output (zeros, for example) do not count, because almost any limit kills
    # them; they do count if the claim is exempt from named mutants. A mutant that an implicit limit kills does not
    # show that a written limit works.
    telling = [m for m in ran if not m["implicit"] and (exempt or not m["free"] or m["name"] == "lower_precision")]
    for limit in limits:
        if isinstance(limit, Limit) and limit.measure == "baseline_err":
            continue  # it judges only the baseline; a violation makes the claim UNSOUND
        if not any(limit.label in m["kills"] for m in telling):
            return f"limit {limit.label} killed no mutant, so nothing shows that it can fail"
    return ""


def weak(mutants: list[Fate]) -> str:
    weak = [m["name"] for m in mutants if m["weak"]]
    return f"; weak: {', '.join(weak)} killed by less than {STRONG_MARGIN:g}x" if weak else ""


def alive(mutant: ShortFate) -> bool:
    """Whether a mutant ran, or tried to run, and was not killed."""
    return not mutant["killed"] and mutant["status"] not in ("inapplicable", "not_run")
