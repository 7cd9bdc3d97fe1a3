"""Falsifier of ship-%: drawn targets, and the formula in exact fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from harness.case import Case
from harness.falsifiers.itself import engine
from harness.observation import Observation

MEASURES = {
    "percent_error": "largest difference of ship-% and its formula, in percentage points",
    "credit_wrong": "number of criteria whose credit is not the least of its claims'",
    "parts_wrong": "number of parts (discharged, partial, red, open) that differ",
    "gate_wrong": "number of decisions on a required ship-% that differ from the exact fraction's",
}
CREDIT = {
    **dict.fromkeys(("ERROR", "UNSOUND", "FALSIFIED", "VACUOUS", "BLOCKED", "UNVERIFIED", "STALE"), Fraction(0)),
    "PARTIAL": Fraction(1, 2),
    "DISCHARGED": Fraction(1),
}
"""By precedence, written out again so that an order or a credit that changes in the engine is seen."""
RED = ("ERROR", "UNSOUND", "FALSIFIED", "VACUOUS")


def ship_percent(subject: Any, case: Case, *, criteria: int, verdicts: str) -> Observation:
    """ship-% of a drawn target against 100 Σ weight credit / Σ weight in fractions, and a gate just above and below it.

    `verdicts` is `any`, or the verdicts to draw from, joined by +.
    """
    known = list(CREDIT) if verdicts == "any" else verdicts.split("+")
    entry, rows = _target(case, criteria, known)
    found = engine.own(subject, "ship_target")(entry, rows)
    credits = [_credit(each, rows) for each in entry["criteria"]]
    weights = [Fraction(each["weight"]) for each in entry["criteria"]]
    exact = 100 * sum((w * c for w, c in zip(weights, credits, strict=True)), Fraction(0)) / sum(weights)
    parts = _parts(entry, rows)
    return Observation(
        percent_error=float(abs(Fraction(found["ship_percent"]) - exact)),
        credit_wrong=sum(Fraction(row["credit"]) != c for row, c in zip(found["criteria"], credits, strict=True)),
        parts_wrong=sum(found["parts"][name] != count for name, count in parts.items()),
        gate_wrong=_gate_wrong(engine.own(subject, "min_ship"), weights, credits),
    )


def _target(case: Case, count: int, known: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A target with drawn weights and claims, and the rows of these claims; one claim in ten is in no run."""
    draw = case.stream("target")
    rows: dict[str, Any] = {}
    criteria = []
    for i in range(count):
        claims = [f"FALSIFY-C{i}-{k:03d}" for k in range(int(draw.integers(0, 4)))]
        for claim in claims:
            verdict = known[int(draw.integers(len(known)))]
            if draw.random() < 0.9:
                rows[claim] = {"id": claim, "verdict": verdict, "reason": "r", "survived_on": [], "mutants": []}
        opened = ["a part"] if draw.random() < 0.1 else []
        weight = round(float(draw.uniform(0.1, 30)), 1)
        criteria.append({"id": f"X{i}", "weight": weight, "effort_hours": 1, "claims": claims, "open": opened})
    return {"criteria": criteria}, rows


def _credit(criterion: dict[str, Any], rows: dict[str, Any]) -> Fraction:
    if criterion["open"] or not criterion["claims"]:
        return Fraction(0)
    return min(CREDIT[rows[c]["verdict"]] if c in rows else Fraction(0) for c in criterion["claims"])


def _parts(entry: dict[str, Any], rows: dict[str, Any]) -> dict[str, int]:
    """How many criteria are discharged, partial, red and open, by their gravest claim."""
    order, counts = list(CREDIT), {"discharged": 0, "partial": 0, "red": 0, "open": 0}
    for criterion in entry["criteria"]:
        held = [rows[c]["verdict"] if c in rows else "UNVERIFIED" for c in criterion["claims"]]
        if criterion["open"] or not held:
            held.append("UNVERIFIED")
        gravest = min(held, key=order.index)
        kind = "red" if gravest in RED else {"DISCHARGED": "discharged", "PARTIAL": "partial"}.get(gravest, "open")
        counts[kind] += 1
    return counts


def _gate_wrong(min_ship: Callable[..., bool], weights: list[Fraction], credits: list[Fraction]) -> int:
    """Wrong decisions of a gate that asks for a little more, and for a little less, than the exact ship-%."""
    criteria: list[dict[str, Any]] = [
        {"id": f"X{i}", "title": "", "weight": float(w), "effort_hours": 1, "credit": float(c), "claims": [],
         "verdict": "DISCHARGED" if c == 1 else "PARTIAL", "open": [], "ship_blocking": True}
        for i, (w, c) in enumerate(zip(weights, credits, strict=True))
    ]  # fmt: skip
    exact = 100 * sum((w * c for w, c in zip(weights, credits, strict=True)), Fraction(0)) / sum(weights)
    least = Fraction(1, 10**6)
    target = {"id": "t", "platform": None, "ship_percent": round(float(exact), 2), "criteria": criteria}
    asked = {least + exact: False, exact: True, exact - least: True}
    return sum(min_ship(target, str(each)) != opens for each, opens in asked.items() if 0 < each <= 100)
