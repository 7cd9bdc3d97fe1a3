"""The verdicts in order of precedence, and the credit of each."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """The verdict on a claim; earlier members take precedence."""

    ERROR = "ERROR"
    UNSOUND = "UNSOUND"
    FALSIFIED = "FALSIFIED"
    VACUOUS = "VACUOUS"
    BLOCKED = "BLOCKED"
    UNVERIFIED = "UNVERIFIED"
    STALE = "STALE"
    PARTIAL = "PARTIAL"
    DISCHARGED = "DISCHARGED"

    @property
    def red(self) -> bool:
        return self in (Verdict.ERROR, Verdict.UNSOUND, Verdict.FALSIFIED, Verdict.VACUOUS)

    @property
    def survived(self) -> bool:
        return self in (Verdict.PARTIAL, Verdict.DISCHARGED)

    @property
    def credit(self) -> float:
        return {Verdict.DISCHARGED: 1.0, Verdict.PARTIAL: 0.5}.get(self, 0.0)


ORDER = tuple(Verdict)


def worst(verdicts: list[Verdict]) -> Verdict:
    """The verdict that takes precedence; used to merge runs and to compute criteria."""
    return min(verdicts, key=ORDER.index)
