"""The figures of a training, at every edge they have, and what they refuse."""

import math

import numpy as np
import pytest

from harness.candidates.torch.training.training_metrics import TrainingMetrics as Candidate
from harness.falsifiers.baselines.torch_training import Metrics
from harness.reference.training.metrics import TrainingMetrics

ALL = pytest.mark.parametrize("kind", [TrainingMetrics, Candidate, Metrics])


def told(kind, losses):
    metrics = kind()
    for loss in losses:
        metrics.record_loss(loss)
    return metrics


def decided(kind, right, wrong):
    metrics = kind()
    for aligned in [True] * right + [False] * wrong:
        metrics.record_gate(aligned)
    return metrics


@ALL
def test_the_first_loss_is_the_first_average_and_the_next_counts_a_hundredth(kind):
    assert told(kind, [12.0]).average_loss == 12.0
    assert told(kind, [12.0, 2.0]).average_loss == pytest.approx(11.9)


@ALL
def test_the_average_is_the_weighted_sum_written_out(kind):
    losses = np.linspace(5, 1, 50)
    weights = 0.01 * 0.99 ** np.arange(49, -1, -1)
    weights[0] = 0.99**49
    assert told(kind, losses.tolist()).average_loss == pytest.approx(float(weights @ losses), rel=1e-12)


@ALL
def test_the_last_hundred_are_kept(kind):
    assert told(kind, map(float, range(1, 101))).history == list(range(1, 101))
    assert told(kind, map(float, range(1, 102))).history == list(range(2, 102))


@ALL
def test_a_trend_needs_twenty_losses_and_is_negative_while_learning(kind):
    assert told(kind, [1.0] * 19).loss_trend is None
    assert told(kind, [3.0] * 10 + [1.0] * 10).loss_trend == pytest.approx(-2)
    assert told(kind, [99.0] * 5 + [3.0] * 10 + [1.0] * 10).loss_trend == pytest.approx(-2)


@ALL
@pytest.mark.parametrize(
    ("right", "wrong", "converged"),
    [(999, 0, False), (1000, 0, True), (950, 50, True), (949, 51, False), (951, 50, True), (1900, 100, True)],
)
def test_both_bounds_of_convergence_are_included(kind, right, wrong, converged):
    metrics = decided(kind, right, wrong)
    assert metrics.converged is converged
    assert metrics.gate_alignment == pytest.approx(right / (right + wrong))


@ALL
def test_a_gate_that_turns_bad_is_no_longer_converged(kind):
    metrics = decided(kind, 1000, 0)
    assert metrics.converged
    for _ in range(60):
        metrics.record_gate(False)
    assert not metrics.converged


@pytest.mark.parametrize("kind", [TrainingMetrics, Candidate])
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_refused_and_not_recorded(kind, loss):
    metrics = told(kind, [2.0, 1.0])
    before = metrics.average_loss
    with pytest.raises(ValueError, match=f"found loss {loss}, expected a finite number"):
        metrics.record_loss(loss)
    assert (metrics.average_loss, metrics.history) == (before, [2.0, 1.0])
