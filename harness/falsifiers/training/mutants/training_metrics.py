"""Training figures that were reported wrong (systems.md C8)."""

from __future__ import annotations

from collections import deque
from typing import Any

from harness.mutant import mutant, replace


@mutant
def average_starts_at_zero(baseline: Any) -> Any:
    """The average is seeded with 0, so a loss of 12 reads as 0.12 and seems to rise (systems.md C8)."""

    class Wrong(baseline.training_metrics):
        def record_loss(self, loss: float) -> None:
            if not self.seen:
                self.average_loss = 0.0
                self.average_loss = self.averaged(loss)
                self.seen.append(loss)
            else:
                super().record_loss(loss)

    return replace(baseline, training_metrics=Wrong)


@mutant
def alpha_ten_times(baseline: Any) -> Any:
    """alpha 0.1: the average follows the last ten losses, not the last hundred.
    Synthetic: 0.1 is the usual smoothing constant of other dashboards."""
    return _with(baseline, alpha=0.1)


@mutant
def alpha_on_the_average(baseline: Any) -> Any:
    """alpha and 1 - alpha exchanged: the average is the last loss.
    Synthetic: half of the libraries give alpha to the new value, the others to the old one."""
    return _with(baseline, alpha=0.99)


@mutant
def history_unbounded(baseline: Any) -> Any:
    """Every loss is kept (systems.md C8)."""
    return _sized(baseline, None)


@mutant
def history_off_by_one(baseline: Any) -> Any:
    """The oldest is dropped after the test of the length: 101 are kept.
    Synthetic: the length is compared with > before the new value is added."""
    return _sized(baseline, 101)


@mutant
def history_newest_first(baseline: Any) -> Any:
    """The history is turned round, and with it the sign of the trend.
    Synthetic: a list shown newest first is stored in the same order."""
    return _with(baseline, history=property(lambda self: list(self.seen)[::-1]))


@mutant
def trend_of_halves(baseline: Any) -> Any:
    """mean(last 10) less the mean of everything before, so early losses never leave the trend.
    Synthetic: losses[:-10] is shorter to write than the window losses[-20:-10]."""

    def trend(self: Any) -> float | None:
        losses = self.history
        return sum(losses[-10:]) / 10 - sum(losses[:-10]) / len(losses[:-10]) if len(losses) >= 20 else None

    return _with(baseline, loss_trend=property(trend))


@mutant
def trend_windows_overlap(baseline: Any) -> Any:
    """The earlier window is losses[-11:-1]: nine losses are in both.
    Synthetic: the window is moved back by one step, where it is to be moved by its length."""

    def trend(self: Any) -> float | None:
        losses = self.history
        return sum(losses[-10:]) / 10 - sum(losses[-11:-1]) / 10 if len(losses) >= 20 else None

    return _with(baseline, loss_trend=property(trend))


@mutant
def trend_from_two_losses(baseline: Any) -> Any:
    """A trend is given as soon as there are ten losses: the earlier window is short.
    Synthetic: the test of the length covers one window, and a slice that is short raises nothing."""

    def trend(self: Any) -> float | None:
        losses = self.history
        earlier = losses[-20:-10]
        return sum(losses[-10:]) / 10 - sum(earlier) / len(earlier) if earlier else None

    return _with(baseline, loss_trend=property(trend))


@mutant
def converged_after_1000(baseline: Any) -> Any:
    """More than 1,000 decisions, where 1,000 are enough (systems.md C8)."""
    return _with(baseline, converged=property(lambda s: s.gate.total() > 1000 and s.gate_alignment >= 0.95))


@mutant
def converged_at_999(baseline: Any) -> Any:
    """The count is taken before this decision is added: 999 are enough (systems.md C8)."""
    return _with(baseline, converged=property(lambda s: s.gate.total() >= 999 and s.gate_alignment >= 0.95))


@mutant
def converged_above_95(baseline: Any) -> Any:
    """More than 95 %, where 95 % are enough. Synthetic: > is written where >= is meant."""
    return _with(baseline, converged=property(lambda s: s.gate.total() >= 1000 and s.gate_alignment > 0.95))


@mutant
def converged_at_90(baseline: Any) -> Any:
    """90 % are enough. Synthetic: the threshold is a number in the code, and 90 % is another common one."""
    return _with(baseline, converged=property(lambda s: s.gate.total() >= 1000 and s.gate_alignment >= 0.90))


@mutant
def converged_for_good(baseline: Any) -> Any:
    """Once converged, never again not: the flag is set and nothing clears it.
    Synthetic: the flag is assigned inside an if that has no else."""

    class Wrong(baseline.training_metrics):
        done = False

        @property
        def converged(self) -> bool:
            self.done = self.done or bool(super().converged)
            return self.done

    return replace(baseline, training_metrics=Wrong)


@mutant
def alignment_of_the_last_hundred(baseline: Any) -> Any:
    """The share is that of the last 100 decisions.
    Synthetic: the loss history keeps the last 100, and the share is taken from the same record."""

    class Wrong(baseline.training_metrics):
        def __init__(self) -> None:
            super().__init__()
            self.recent: deque[bool] = deque(maxlen=100)

        def record_gate(self, aligned: bool) -> None:
            super().record_gate(aligned)
            self.recent.append(aligned)

        @property
        def gate_alignment(self) -> float:
            return sum(self.recent) / max(len(self.recent), 1)

    return replace(baseline, training_metrics=Wrong)


@mutant
def misses_not_counted(baseline: Any) -> Any:
    """A decision is counted only where it was aligned: the share is always 1.
    Synthetic: both counters are raised in one branch."""

    class Wrong(baseline.training_metrics):
        def record_gate(self, aligned: bool) -> None:
            if aligned:
                super().record_gate(aligned)

    return replace(baseline, training_metrics=Wrong)


def _with(baseline: Any, **attributes: Any) -> Any:
    return replace(baseline, training_metrics=type("Wrong", (baseline.training_metrics,), attributes))


def _sized(baseline: Any, kept: int | None) -> Any:
    class Wrong(baseline.training_metrics):
        def __init__(self) -> None:
            super().__init__()
            self.seen: deque[float] = deque(maxlen=kept)

    return replace(baseline, training_metrics=Wrong)
