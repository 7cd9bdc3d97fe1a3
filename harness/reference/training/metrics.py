"""Running figures of a training loop: average loss, its trend, and the share of correct gate decisions."""

from __future__ import annotations

import math

ALPHA = 0.01
HISTORY = 100
WINDOW = 10
DECISIONS = 1000
ALIGNED = 0.95


class TrainingMetrics:
    """Running figures of a training; the caller records losses and gate decisions one by one.

    Source: systems.md C8.
    """

    def __init__(self) -> None:
        self.average_loss = math.nan
        self.history: list[float] = []
        self.decisions = 0
        self.aligned = 0

    def record_loss(self, loss: float) -> None:
        """average <- average + 0.01 (loss - average); the first loss is the first average.

        Raises: ValueError, and nothing is recorded, if the loss is not finite.
        """
        if not math.isfinite(loss):
            raise ValueError(f"metrics: found loss {loss}, expected a finite number")
        average = self.average_loss
        self.average_loss = average + ALPHA * (loss - average) if self.history else float(loss)
        self.history = [*self.history, float(loss)][-HISTORY:]

    def record_gate(self, aligned: bool) -> None:
        """Record one gate decision; `aligned` is True if it was correct."""
        self.decisions += 1
        self.aligned += bool(aligned)

    @property
    def gate_alignment(self) -> float:
        """Share of correct decisions; 0 before the first."""
        return self.aligned / self.decisions if self.decisions else 0.0

    @property
    def converged(self) -> bool:
        """At least 1,000 decisions, at least 95 % of them aligned; both bounds included."""
        # Integers, because 0.95 has no exact double and exactly 95 % must pass.
        return self.decisions >= DECISIONS and 100 * self.aligned >= round(100 * ALIGNED) * self.decisions

    @property
    def loss_trend(self) -> float | None:
        """mean(last 10 losses) - mean(the 10 before them): below 0 while learning; None before 20 losses."""
        if len(self.history) < 2 * WINDOW:
            return None
        last, before = self.history[-WINDOW:], self.history[-2 * WINDOW : -WINDOW]
        return math.fsum(last) / WINDOW - math.fsum(before) / WINDOW
