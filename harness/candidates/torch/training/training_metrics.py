"""Running figures of a training: average loss, trend, history, gate alignment."""

from __future__ import annotations

import math
from collections import deque


class TrainingMetrics:
    """Records one loss or one gate decision at a time; keeps the last 100 losses."""

    def __init__(self) -> None:
        self.average_loss = math.nan
        self.decisions = 0
        self._aligned = 0
        self._losses: deque[float] = deque(maxlen=100)

    def record_loss(self, loss: float) -> None:
        """Raises: ValueError if the loss is not finite; it is not recorded then."""
        loss = float(loss)
        if not math.isfinite(loss):
            raise ValueError(f"metrics: found loss {loss}, expected a finite number")
        self.average_loss = 0.99 * self.average_loss + 0.01 * loss if self._losses else loss
        self._losses.append(loss)

    def record_gate(self, aligned: bool) -> None:
        """Record one gate decision."""
        self.decisions += 1
        self._aligned += bool(aligned)

    @property
    def history(self) -> list[float]:
        """The last 100 losses, oldest first."""
        return list(self._losses)

    @property
    def gate_alignment(self) -> float:
        """Share of the decisions that were aligned; 0 before the first."""
        return self._aligned / max(self.decisions, 1)

    @property
    def converged(self) -> bool:
        """At least 1,000 decisions, at least 95 % of them aligned."""
        return self.decisions >= 1000 and 20 * self._aligned >= 19 * self.decisions

    @property
    def loss_trend(self) -> float | None:
        """Mean of the last 10 losses minus the mean of the 10 before; None before 20 losses."""
        recent = self.history[-20:]
        return (sum(recent[10:]) - sum(recent[:10])) / 10 if len(recent) == 20 else None


training_metrics = TrainingMetrics
