"""Compute ship-%: the weighted mean of the credits of a target's criteria."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict

from harness.judging.result import ClaimRow
from harness.judging.verdict import Verdict, worst
from harness.platforms import HOST, REHEARSAL

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
    platform: str | None
    """Where it ships; None if each claim's own `discharges_on` says what counts."""
    ship_percent: float
    parts: Parts
    criteria: list[CriterionRow]


class Standing(NamedTuple):
    """What a claim counts as for one target, and why."""

    verdict: Verdict
    reason: str


def standing(row: ClaimRow, platform: str | None) -> Standing:
    """What a claim counts as for a target that ships on `platform`; None: as its verdict says.

    A survival counts as DISCHARGED on that platform alone, whatever the claim's `discharges_on` says, and only if every
    mutant ran and was killed there. The rehearsal device computes with the CPU's kernels under stricter rules, so for a
    target on the CPU it counts as the CPU.
    """
    verdict = Verdict(row["verdict"])
    if platform is None or not verdict.survived:
        return Standing(verdict, row["reason"])
    good = {platform, REHEARSAL} if platform == HOST else {platform}
    if good & set(row["survived_on"]):
        return Standing(Verdict.DISCHARGED, f"survived on {', '.join(row['survived_on'])}")
    not_run = [mutant["name"] for mutant in row["mutants"] if mutant["status"] == "not_run"]
    known = f"survived on {', '.join(row['survived_on'])}" if row["survived_on"] else "survived"
    missing = f"; mutants not run: {', '.join(not_run)}" if not_run else ""
    return Standing(Verdict.PARTIAL, f"{known}{missing}; the target ships on {platform}")


def targets(ship: Entry, rows: Mapping[str, ClaimRow]) -> list[TargetRow]:
    """Compute every target's ship-% and criteria from ship.yaml (as data) and the claims' rows by their ids."""
    return [target(name, entry, rows) for name, entry in ship.get("targets", {}).items()]


def target(name: str, entry: Entry, claims: Mapping[str, ClaimRow]) -> TargetRow:
    """Compute one target: ship-% = 100 · Σ weight·credit / Σ weight, and its parts."""
    platform = entry.get("platform")
    rows = [criterion(c, claims, platform) for c in entry["criteria"]]
    weights = [float(c["weight"]) for c in entry["criteria"]]
    total = sum(weights)
    percent = 100 * sum(w * r["credit"] for w, r in zip(weights, rows, strict=True)) / total if total else 0.0
    return {
        "id": name,
        "title": entry.get("title", name),
        "platform": platform,
        "ship_percent": round(percent, 2),
        "parts": _parts(rows),
        "criteria": rows,
    }


def criterion(entry: Entry, rows: Mapping[str, ClaimRow], platform: str | None) -> CriterionRow:
    """Compute a criterion: its credit is the least credit of its claims, 0 without claims or with open parts."""
    claims = list(entry.get("claims", []))
    held = [standing(rows[c], platform).verdict if c in rows else Verdict.UNVERIFIED for c in claims]
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
    """`50 % (0 discharged, 8 partial, 0 red, 0 open)`: the number is always shown with its parts.

    A target that declares its platform is `100 % on cpu (...)`.
    """
    parts = target["parts"]
    where = f" on {target['platform']}" if target["platform"] else ""
    inside = f"{parts['discharged']} discharged, {parts['partial']} partial, {parts['red']} red, {parts['open']} open"
    return f"{target['ship_percent']:g} %{where} ({inside})"


def _parts(rows: list[CriterionRow]) -> Parts:
    verdicts = [Verdict(row["verdict"]) for row in rows]
    discharged, partial = verdicts.count(Verdict.DISCHARGED), verdicts.count(Verdict.PARTIAL)
    red = sum(verdict.red for verdict in verdicts)
    return {"discharged": discharged, "partial": partial, "red": red, "open": len(rows) - discharged - partial - red}
