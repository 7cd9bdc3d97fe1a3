"""What a run tells while it runs; who shows it, and how, is not the run's business."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told by the campaign; shown by a terminal, or by nobody."""

    def begin(self, claims: int) -> None:
        """So many claims will run."""

    def stage(self, claim: str, stage: str) -> None:
        """A claim has reached its next subject."""

    def ended(self, claim: str, verdict: str, reason: str) -> None:
        """A claim has its verdict."""

    def end(self) -> None:
        """Nothing more will be told."""


class Silent:
    """Shows nothing."""

    def begin(self, claims: int) -> None:
        """See Progress."""

    def stage(self, claim: str, stage: str) -> None:
        """See Progress."""

    def ended(self, claim: str, verdict: str, reason: str) -> None:
        """See Progress."""

    def end(self) -> None:
        """See Progress."""
