"""The ship gate: from a target's criteria and the merged claims to open, red or short. A pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypedDict

from harness.judging import ship
from harness.judging.result import ClaimRow
from harness.judging.ship import CriterionRow, Parts, TargetRow
from harness.judging.verdict import Verdict


class Shortfall(TypedDict):
    """A criterion that keeps a target from shipping, and why, claim by claim."""

    id: str
    title: str
    verdict: str
    claims: list[str]
    why: list[str]


class DecisionEntry(TypedDict):
    """A decision as `harness gate --json` prints it."""

    id: str
    open: bool
    exit_code: int
    ship_percent: float
    parts: Parts
    min_ship: float | None
    red: list[Shortfall]
    short: list[Shortfall]


@dataclass(frozen=True)
class Decision:
    """Whether one target may ship, and what stands in the way."""

    target: TargetRow
    red: list[Shortfall]
    """Criteria with a red claim, each with `why`."""
    short: list[Shortfall]
    """Ship-blocking criteria that are not discharged, each with `why`."""
    least: Fraction | None
    """The ship-% that was asked for; None: every ship-blocking criterion discharged."""

    @property
    def code(self) -> int:
        """0 open, 1 red, 3 short."""
        if self.red:
            return 1
        enough = not self.short if self.least is None else ship_percent(self.target) >= self.least
        return 0 if enough else 3

    @property
    def line(self) -> str:
        """`CLOSED, 50 % (0 discharged, ...)`, and what was asked where it was less than everything."""
        asked = "" if self.least is None else f"; at least {float(self.least):g} % asked"
        return f"{'CLOSED' if self.code else 'OPEN'}, {ship.line(self.target)}{asked}"

    def as_json(self) -> DecisionEntry:
        """The decision as plain data."""
        return {
            "id": self.target["id"],
            "open": self.code == 0,
            "exit_code": self.code,
            "ship_percent": self.target["ship_percent"],
            "parts": self.target["parts"],
            "min_ship": None if self.least is None else float(self.least),
            "red": self.red,
            "short": self.short,
        }


def decide(target: TargetRow, rows: Sequence[ClaimRow], least: Fraction | None) -> Decision:
    """Red by anything red among its criteria; else short of the ship-% asked for, or of a ship-blocking criterion."""
    by_id = {row["id"]: row for row in rows}
    red: list[Shortfall] = []
    short: list[Shortfall] = []
    for criterion in target["criteria"]:
        verdict = Verdict(criterion["verdict"])
        told: Shortfall = {
            "id": criterion["id"],
            "title": criterion["title"],
            "verdict": criterion["verdict"],
            "claims": criterion["claims"],
            "why": _why(criterion, by_id),
        }
        if verdict.red:
            red.append(told)
        elif verdict is not Verdict.DISCHARGED and criterion["ship_blocking"]:
            short.append(told)
    return Decision(target, red, short, least)


def ship_percent(target: TargetRow) -> Fraction:
    """ship-% to the last digit: 49.996 is not 50."""
    weights = [(Fraction(c["weight"]), Fraction(c["credit"])) for c in target["criteria"]]
    total = sum(weight for weight, _ in weights)
    return 100 * sum((weight * credit for weight, credit in weights), Fraction(0)) / total if total else Fraction(0)


def _why(criterion: CriterionRow, rows: Mapping[str, ClaimRow]) -> list[str]:
    """Claims that fall short for the same reason, together; then the parts without a claim."""
    by: dict[str, list[str]] = {}
    for claim in criterion["claims"]:
        row = rows.get(claim)
        verdict = Verdict(row["verdict"]) if row else Verdict.UNVERIFIED
        if verdict is not Verdict.DISCHARGED:
            by.setdefault(f"{verdict} ({row['reason'] if row else 'in none of these runs'})", []).append(claim)
    told = [f"{', '.join(claims)}: {why}" for why, claims in by.items()]
    told += [f"open: {part}" for part in criterion["open"]]
    return told or ["no claim covers it"]
