"""Falsifiers of training metrics, which record losses and gate decisions one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.case import Case
from harness.observation import Observation
from harness.reference.training.metrics import DECISIONS, TrainingMetrics

MEASURES = {
    "average_error": "largest difference of the average loss and the reference's, as a share of the latter",
    "history_error": "largest difference of a loss in the history and the recorded loss",
    "history_missized": "largest difference of the history's length and the reference's",
    "trend_error": "largest difference of the loss trend and the reference's, nats",
    "trend_missing": "number of trends before 20 losses, plus number of missing trends after",
    "alignment_error": "largest difference of the gate alignment and the true share",
    "wrong_verdicts": "decisions after which `converged` was wrong",
}

SETTLED = 10
"""How many decisions are checked at the start, and how many directly before the 1,000th."""


def losses(subject: Any, case: Case, *, count: int, start: float) -> Observation:
    """Average, history and trend after each of `count` losses that fall from `start` with noise."""
    falling = start * (0.2 + 0.8 * np.exp(-np.arange(count) / 60))
    series = case.array("losses", lambda: falling * case.stream("losses").uniform(0.8, 1.2, count))
    metrics, truth = subject.training_metrics(), TrainingMetrics()
    errors: dict[str, list[float]] = {name: [] for name in list(MEASURES)[:5]}
    averages = []
    for loss in map(float, series):
        metrics.record_loss(loss)
        truth.record_loss(loss)
        averages.append(metrics.average_loss)
        kept, trend = metrics.history, metrics.loss_trend
        errors["average_error"].append(abs(averages[-1] - truth.average_loss) / truth.average_loss)
        errors["history_missized"].append(abs(len(kept) - len(truth.history)))
        errors["history_error"].append(_distance(kept, truth.history))
        errors["trend_missing"].append((trend is None) != (truth.loss_trend is None))
        if trend is not None and truth.loss_trend is not None:
            errors["trend_error"].append(abs(trend - truth.loss_trend))
    found: dict[str, Any] = {name: _worst(values) for name, values in errors.items()}
    return Observation(**found, series={"loss": map(float, series), "average_loss": averages})


def convergence(subject: Any, case: Case, *, decisions: int, misses: int, late: bool) -> Observation:
    """Alignment and `converged` of a gate with `misses` wrong decisions, at the start or the end.

    Checked after each of the first decisions, and after each from shortly before the 1,000th on.
    """
    right = np.ones(decisions, dtype=np.int64)
    right[-misses or decisions : None] = 0
    decided = case.array("aligned", right if late else right[::-1])
    metrics, truth = subject.training_metrics(), TrainingMetrics()
    wrong, errors = 0, []
    for aligned in map(bool, decided):
        metrics.record_gate(aligned)
        truth.record_gate(aligned)
        if SETTLED < truth.decisions < DECISIONS - SETTLED:
            continue
        wrong += bool(metrics.converged) != truth.converged
        errors.append(abs(metrics.gate_alignment - truth.gate_alignment))
    return Observation(wrong_verdicts=wrong, alignment_error=_worst(errors))


def _distance(got: list[float], want: list[float]) -> float:
    """Largest difference of the last elements that both lists have; NaN if one is empty."""
    shared = min(len(got), len(want))
    return _worst([abs(g - w) for g, w in zip(got[-shared:], want[-shared:], strict=True)]) if shared else math.nan


def _worst(values: list[float]) -> float:
    """The largest value; NaN if any value is NaN, 0 for an empty list."""
    return math.nan if any(math.isnan(v) for v in values) else float(max(values, default=0.0))
