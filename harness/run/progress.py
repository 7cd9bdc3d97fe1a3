"""The events that a run reports while it runs; the caller chooses how to show them."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the events of a campaign."""

    def begin(self, claims: int) -> None:
        """`claims` claims will run."""

    def stage(self, claim: str, stage: str) -> None:
        """A claim has started its next stage: a subject's name, or `shrinking`."""

    def ended(self, claim: str, verdict: str, reason: str) -> None:
        """A claim has its verdict."""

    def end(self) -> None:
        """No more events follow."""


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
