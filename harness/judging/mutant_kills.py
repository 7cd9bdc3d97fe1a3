"""Whether a falsifier has teeth: every mutant killed by a named limit, every limit with a kill of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.judging.findings import IMPLICIT, findings
from harness.judging.limits import Group, Limit

STRONG_MARGIN = 10.0
"""A mutant killed by less than this many times the limit is called weak."""


def fate(name: str, subject: Mapping[str, Any], claim: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a mutant is killed, by which limit, by what margin, and everything that kills it."""
    out: dict[str, Any] = {"name": name, "free": bool(subject.get("free")), "status": subject["status"]}
    if subject["status"] != "ran":
        nothing: dict[str, Any] = {
            "killed": False,
            "by": None,
            "margin": None,
            "weak": False,
            "implicit": False,
            "kills": {},
        }
        return {**out, **nothing, "reason": subject["reason"]}
    broken = [finding for finding in findings(claim, record, subject) if not finding.holds]
    kills: dict[str, float] = {}
    for finding in broken:
        kills[finding.limit] = max(kills.get(finding.limit, 0.0), finding.margin)
    implicit = [finding for finding in broken if finding.measure in IMPLICIT]
    best = implicit[0] if implicit else max(broken, key=lambda f: f.margin, default=None)
    margin = best.margin if best and math.isfinite(best.margin) else None
    return {
        **out,
        "killed": best is not None,
        "by": best.limit if best else None,
        "margin": margin,
        "weak": bool(best) and margin is not None and margin < STRONG_MARGIN,
        "implicit": bool(implicit),
        "kills": {label: (m if math.isfinite(m) else None) for label, m in kills.items()},
        "reason": "",
    }


def vacuous(claim: Mapping[str, Any], limits: list[Limit | Group], mutants: list[dict[str, Any]]) -> str:
    """Why the falsifier's power is not shown: a mutant alive, or a limit that kills none."""
    ran = [m for m in mutants if m["status"] not in ("not_run", "inapplicable")]
    for mutant in ran:
        if not mutant["killed"]:
            crashed = f" (it did not run: {mutant['reason']})" if mutant["reason"] else ""
            return f"mutant {mutant['name']} survived{crashed}"
    if not ran:
        return "no mutant ran"
    exempt = bool(claim.get("mutants_exempt"))
    # A limit that only tells zeros from an answer is decoration: derived outputs do not
    # count, and a mutant that an implicit limit kills says nothing of the written ones.
    telling = [m for m in ran if not m["implicit"] and (exempt or not m["free"] or m["name"] == "lower_precision")]
    for limit in limits:
        if isinstance(limit, Limit) and limit.measure == "baseline_err":
            continue  # it limits the baseline alone; what it kills is the claim, as UNSOUND
        if not any(limit.label in m["kills"] for m in telling):
            return f"limit {limit.label} killed no mutant: it is decoration"
    return ""


def weak(mutants: list[dict[str, Any]]) -> str:
    weak = [m["name"] for m in mutants if m.get("weak")]
    return f"; weak: {', '.join(weak)} killed by less than {STRONG_MARGIN:g}x" if weak else ""


def alive(mutant: Mapping[str, Any]) -> bool:
    """Whether a mutant was tried and not killed."""
    return not mutant["killed"] and mutant["status"] not in ("inapplicable", "not_run")
