"""The open work: criteria short of full credit, ranked by ship-% to gain per hour of effort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from harness.judging.result import ClaimRow
from harness.judging.ship import CriterionRow, TargetRow
from harness.judging.verdict import Verdict

LEAST_HOURS = 0.5
"""An effort of less is counted as this, so that a guess of zero does not outrank everything."""


class Obstacle(TypedDict):
    """Why some claims of a criterion, or a part of it without a claim, are not discharged."""

    verdict: str
    reason: str
    claims: list[str]


class Item(CriterionRow):
    """A criterion with something to gain."""

    target: str
    gain: float
    """Percentage points of ship-%."""
    rate: float
    """Gain per hour."""
    why: list[Obstacle]


def ranked(targets: Sequence[TargetRow], rows: Mapping[str, ClaimRow]) -> list[Item]:
    """Criteria with something to gain, the most ship-% per hour first, each with what stands in its way."""
    out: list[Item] = []
    for target in targets:
        total = sum(c["weight"] for c in target["criteria"])
        for criterion in target["criteria"]:
            gain = 100 * criterion["weight"] * (1 - criterion["credit"]) / total if total else 0.0
            if gain > 0:
                rate = gain / max(criterion["effort_hours"], LEAST_HOURS)
                out.append(
                    {**criterion, "target": target["id"], "gain": gain, "rate": rate, "why": short(criterion, rows)}
                )
    return sorted(out, key=lambda item: (-item["rate"], item["target"], item["id"]))


def short(criterion: CriterionRow, rows: Mapping[str, ClaimRow]) -> list[Obstacle]:
    """Why a criterion is not discharged: claims that fall short for the same reason together, then its open parts."""
    by: dict[tuple[str, str], list[str]] = {}
    for claim in criterion["claims"]:
        row = rows.get(claim)
        key = (row["verdict"], row["reason"]) if row else (Verdict.UNVERIFIED.value, "not in this evidence")
        if key[0] != Verdict.DISCHARGED:
            by.setdefault(key, []).append(claim)
    out: list[Obstacle] = [
        {"verdict": verdict, "reason": reason, "claims": claims} for (verdict, reason), claims in by.items()
    ]
    out.sort(key=lambda item: [v.value for v in Verdict].index(item["verdict"]))
    return out + [
        {"verdict": Verdict.UNVERIFIED.value, "reason": f"open: {part}", "claims": []} for part in criterion["open"]
    ]


def closed(target: TargetRow) -> list[CriterionRow]:
    """The criteria that keep a target from shipping, as `harness gate` decides: red ones, and blocking ones short."""
    return [
        c
        for c in target["criteria"]
        if Verdict(c["verdict"]).red or (c["ship_blocking"] and c["verdict"] != Verdict.DISCHARGED)
    ]
