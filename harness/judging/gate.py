"""The ship gate: decide from a target's criteria and the merged claims whether it is open, red or short. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypedDict

from harness.judging import ship
from harness.judging.result import ClaimRow
from harness.judging.ship import CriterionRow, Parts, TargetRow
from harness.judging.verdict import Verdict

NOWHERE = ship.Standing(Verdict.UNVERIFIED, "in none of these runs")


class Shortfall(TypedDict):
    """A criterion that keeps a target from shipping, with the reason of each claim."""

    id: str
    title: str
    verdict: str
    claims: list[str]
    why: list[str]


class DecisionEntry(TypedDict):
    """A decision as `harness gate --json` prints it."""

    id: str
    platform: str | None
    open: bool
    exit_code: int
    ship_percent: float
    parts: Parts
    min_ship: float | None
    red: list[Shortfall]
    short: list[Shortfall]


@dataclass(frozen=True)
class Decision:
    """Whether one target may ship, and which criteria prevent it."""

    target: TargetRow
    red: list[Shortfall]
    """Criteria with a red claim, each with `why`."""
    short: list[Shortfall]
    """Ship-blocking criteria that are not discharged, each with `why`."""
    least: Fraction | None
    """The required ship-%; None requires that every ship-blocking criterion is discharged."""

    @property
    def code(self) -> int:
        """0 open, 1 red, 3 short."""
        if self.red:
            return 1
        enough = not self.short if self.least is None else ship_percent(self.target) >= self.least
        return 0 if enough else 3

    @property
    def line(self) -> str:
        """`CLOSED, 50 % (0 discharged, ...)`, and the required ship-% if one is given."""
        required = "" if self.least is None else f"; at least {float(self.least):g} % required"
        return f"{'CLOSED' if self.code else 'OPEN'}, {ship.line(self.target)}{required}"

    def as_json(self) -> DecisionEntry:
        """The decision as plain data."""
        return {
            "id": self.target["id"],
            "platform": self.target["platform"],
            "open": self.code == 0,
            "exit_code": self.code,
            "ship_percent": self.target["ship_percent"],
            "parts": self.target["parts"],
            "min_ship": None if self.least is None else float(self.least),
            "red": self.red,
            "short": self.short,
        }


def decide(target: TargetRow, rows: Sequence[ClaimRow], least: Fraction | None) -> Decision:
    """Sort the criteria that keep a target from shipping: the red ones, and the ship-blocking ones not discharged."""
    by_id = {row["id"]: row for row in rows}
    red: list[Shortfall] = []
    short: list[Shortfall] = []
    for criterion in target["criteria"]:
        verdict = Verdict(criterion["verdict"])
        shortfall: Shortfall = {
            "id": criterion["id"],
            "title": criterion["title"],
            "verdict": criterion["verdict"],
            "claims": criterion["claims"],
            "why": _why(criterion, by_id, target["platform"]),
        }
        if verdict.red:
            red.append(shortfall)
        elif verdict is not Verdict.DISCHARGED and criterion["ship_blocking"]:
            short.append(shortfall)
    return Decision(target, red, short, least)


def ship_percent(target: TargetRow) -> Fraction:
    """ship-% as an exact fraction, so that 49.996 does not pass for 50."""
    weights = [(Fraction(c["weight"]), Fraction(c["credit"])) for c in target["criteria"]]
    total = sum(weight for weight, _ in weights)
    return 100 * sum((weight * credit for weight, credit in weights), Fraction(0)) / total if total else Fraction(0)


def _why(criterion: CriterionRow, rows: Mapping[str, ClaimRow], platform: str | None) -> list[str]:
    """The claims that are not discharged, grouped by reason; then the parts without a claim."""
    by: dict[str, list[str]] = {}
    for claim in criterion["claims"]:
        held = ship.standing(rows[claim], platform) if claim in rows else NOWHERE
        if held.verdict is not Verdict.DISCHARGED:
            by.setdefault(f"{held.verdict} ({held.reason})", []).append(claim)
    lines = [f"{', '.join(claims)}: {why}" for why, claims in by.items()]
    lines += [f"open: {part}" for part in criterion["open"]]
    return lines or ["no claim covers it"]
