"""Compute ship-%: the weighted mean of the credits of a target's criteria."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from harness.judging.verdict import Verdict, worst

Entry = Mapping[str, Any]
"""A part of ship.yaml as read from YAML; `harness validate` has checked its shape."""


class Parts(TypedDict):
    """How many criteria of a target are discharged, partial, red and open."""

    discharged: int
    partial: int
    red: int
    open: int


class CriterionRow(TypedDict):
    """One acceptance criterion with the credit that its claims give it."""

    id: str
    title: str
    weight: float
    effort_hours: float
    credit: float
    verdict: str
    claims: list[str]
    open: list[str]
    ship_blocking: bool


class TargetRow(TypedDict):
    """One target with its ship-%, as stored in run.json."""

    id: str
    title: str
    ship_percent: float
    parts: Parts
    criteria: list[CriterionRow]


def targets(ship: Entry, verdicts: Mapping[str, Verdict]) -> list[TargetRow]:
    """Compute every target's ship-% and criteria from ship.yaml (as data) and the claims' verdicts."""
    return [target(name, entry, verdicts) for name, entry in ship.get("targets", {}).items()]


def target(name: str, entry: Entry, verdicts: Mapping[str, Verdict]) -> TargetRow:
    """Compute one target: ship-% = 100 · Σ weight·credit / Σ weight, and its parts."""
    rows = [criterion(c, verdicts) for c in entry["criteria"]]
    weights = [float(c["weight"]) for c in entry["criteria"]]
    total = sum(weights)
    percent = 100 * sum(w * r["credit"] for w, r in zip(weights, rows, strict=True)) / total if total else 0.0
    return {
        "id": name,
        "title": entry.get("title", name),
        "ship_percent": round(percent, 2),
        "parts": _parts(rows),
        "criteria": rows,
    }


def criterion(entry: Entry, verdicts: Mapping[str, Verdict]) -> CriterionRow:
    """Compute a criterion: its credit is the least credit of its claims, 0 without claims or with open parts."""
    claims = list(entry.get("claims", []))
    held = [verdicts.get(claim, Verdict.UNVERIFIED) for claim in claims]
    open_parts = list(entry.get("open", []))
    verdict = worst(held + ([Verdict.UNVERIFIED] if open_parts or not claims else []))
    credit = min([v.credit for v in held], default=0.0) if not open_parts else 0.0
    return {
        "id": entry["id"],
        "title": entry.get("title", ""),
        "weight": entry["weight"],
        "effort_hours": entry["effort_hours"],
        "credit": credit,
        "verdict": verdict.value,
        "claims": claims,
        "open": open_parts,
        "ship_blocking": bool(entry.get("ship_blocking", True)),
    }


def line(target: TargetRow) -> str:
    """`50 % (0 discharged, 8 partial, 0 red, 0 open)`: the number is always shown with its parts."""
    parts = target["parts"]
    inside = f"{parts['discharged']} discharged, {parts['partial']} partial, {parts['red']} red, {parts['open']} open"
    return f"{target['ship_percent']:g} % ({inside})"


def _parts(rows: list[CriterionRow]) -> Parts:
    verdicts = [Verdict(row["verdict"]) for row in rows]
    discharged, partial = verdicts.count(Verdict.DISCHARGED), verdicts.count(Verdict.PARTIAL)
    red = sum(verdict.red for verdict in verdicts)
    return {"discharged": discharged, "partial": partial, "red": red, "open": len(rows) - discharged - partial - red}
