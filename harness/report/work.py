"""Rank criteria without full credit by the ship-% to gain per hour of effort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from harness.judging.result import ClaimRow
from harness.judging.ship import CriterionRow, Standing, TargetRow, standing
from harness.judging.verdict import Verdict

NOWHERE = Standing(Verdict.UNVERIFIED, "not in this evidence")
LEAST_HOURS = 0.5
"""The least effort that is assumed, so that a criterion with an estimate of zero does not rank above all others."""


class Obstacle(TypedDict):
    """A reason why claims of a criterion, or an open part of it without a claim, are not DISCHARGED."""

    verdict: str
    reason: str
    claims: list[str]


class Item(CriterionRow):
    """A criterion that has not earned its full ship-%."""

    target: str
    gain: float
    """Percentage points of ship-%."""
    rate: float
    """Gain per hour."""
    why: list[Obstacle]


def ranked(targets: Sequence[TargetRow], rows: Mapping[str, ClaimRow]) -> list[Item]:
    """Criteria without full credit, the most ship-% per hour first, each with the reasons that hold it back."""
    out: list[Item] = []
    for target in targets:
        total = sum(c["weight"] for c in target["criteria"])
        for criterion in target["criteria"]:
            gain = 100 * criterion["weight"] * (1 - criterion["credit"]) / total if total else 0.0
            if gain > 0:
                rate = gain / max(criterion["effort_hours"], LEAST_HOURS)
                out.append(
                    {
                        **criterion,
                        "target": target["id"],
                        "gain": gain,
                        "rate": rate,
                        "why": short(criterion, rows, target["platform"]),
                    }
                )
    return sorted(out, key=lambda item: (-item["rate"], item["target"], item["id"]))


def short(criterion: CriterionRow, rows: Mapping[str, ClaimRow], platform: str | None) -> list[Obstacle]:
    """Why a criterion is not DISCHARGED: its claims, grouped by verdict and reason, then its open parts."""
    by: dict[tuple[str, str], list[str]] = {}
    for claim in criterion["claims"]:
        held = standing(rows[claim], platform) if claim in rows else NOWHERE
        if held.verdict is not Verdict.DISCHARGED:
            by.setdefault((held.verdict.value, held.reason), []).append(claim)
    out: list[Obstacle] = [
        {"verdict": verdict, "reason": reason, "claims": claims} for (verdict, reason), claims in by.items()
    ]
    out.sort(key=lambda item: [v.value for v in Verdict].index(item["verdict"]))
    return out + [
        {"verdict": Verdict.UNVERIFIED.value, "reason": f"open: {part}", "claims": []} for part in criterion["open"]
    ]


def closed(target: TargetRow) -> list[CriterionRow]:
    """Criteria that keep a target from shipping, as for `harness gate`: red ones, and blocking ones not discharged."""
    return [
        c
        for c in target["criteria"]
        if Verdict(c["verdict"]).red or (c["ship_blocking"] and c["verdict"] != Verdict.DISCHARGED)
    ]
