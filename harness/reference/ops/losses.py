"""Losses: cross-entropy without the ignored tokens, and binary cross-entropy with a weight per example."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.reference.ops.activations import sigmoid_forward
from harness.reference.precision import wide


def cross_entropy_forward(
    logits: np.ndarray, targets: np.ndarray, ignore_index: int = -100, label_smoothing: float = 0.0
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Mean of log(sum(exp(logits))) - logits[target] over the tokens whose target is not ignore_index.

    With label_smoothing s the label has the weight 1 - s + s / V, each other token s / V.
    Shapes: logits (..., V), targets (...) of integers -> out () , cache (log probabilities (..., V), targets,
            counted (...), their count, s).
    Units:  nats; NaN when every target is ignored.
    Raises: ValueError if the shapes do not fit, the targets are not integers, or a target is neither
            ignore_index nor in [0, V).
    Source: torch.nn.functional.cross_entropy with reduction "mean".
    """
    if logits.ndim < 1 or logits.shape[:-1] != targets.shape:
        raise ValueError(f"cross_entropy: found logits {logits.shape} and targets {targets.shape}, expected (..., V)")
    if targets.dtype.kind not in "iu":
        raise ValueError(f"cross_entropy: found targets of type {targets.dtype}, expected integers")
    counted = np.asarray(targets != ignore_index)
    wrong = targets[counted & ((targets < 0) | (targets >= logits.shape[-1]))]
    if wrong.size:
        found, vocab = int(wrong.flat[0]), logits.shape[-1]
        raise ValueError(f"cross_entropy: found target {found}, expected 0 to {vocab - 1}, or {ignore_index}")
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    picked = np.take_along_axis(log_probabilities, np.where(counted, targets, 0)[..., None], axis=-1)[..., 0]
    count = int(counted.sum())
    smoothed = (1 - label_smoothing) * picked + label_smoothing * log_probabilities.mean(axis=-1)
    loss = -np.sum(np.where(counted, smoothed, 0.0)) / count if count else np.nan
    return wide(loss), (log_probabilities, targets, counted, count, label_smoothing)


def cross_entropy_backward(dout: np.ndarray, cache: tuple[Any, ...]) -> np.ndarray:
    """dlogits = dout * (softmax(logits) - weights of the labels) / count, and 0 for ignored tokens.

    Shapes: dout () -> dlogits (..., V); the targets have no gradient.
    Units:  count is the number of tokens that are not ignored; if there are none, every gradient is 0, as in torch.
    Source: torch.nn.functional.cross_entropy under autograd.
    """
    log_probabilities, targets, counted, count, smoothing = cache
    gradient = np.exp(log_probabilities) - smoothing / log_probabilities.shape[-1]
    at = np.where(counted, targets, 0)[..., None]
    np.put_along_axis(gradient, at, np.take_along_axis(gradient, at, -1) - (1 - smoothing), -1)
    return np.asarray(dout * np.where(counted[..., None], gradient, 0.0) / max(count, 1))


def weighted_bce_forward(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Mean over all examples of weight * -(y * ln s + (1 - y) * ln(1 - s)), s = sigmoid(logit), y the clamped label.

    Shapes: logits, labels and weights (...) -> out (), cache (logits, y, weights, number of clamped labels).
    Units:  nats; labels are clamped to [0, 1] and do not affect the weights; the mean divides by the number of
            examples, not by the sum of their weights; NaN without examples.
    Raises: ValueError if the shapes differ, a label is NaN, or a weight is negative or not finite.
    Source: torch.nn.functional.binary_cross_entropy_with_logits with `weight` and reduction "mean".
    """
    if not logits.shape == labels.shape == weights.shape:
        found = f"logits {logits.shape}, labels {labels.shape} and weights {weights.shape}"
        raise ValueError(f"weighted_bce: found {found}, expected equal shapes")
    if np.isnan(labels).any():
        raise ValueError(f"weighted_bce: found label NaN at {int(np.isnan(labels).argmax())}, expected a number")
    wrong = ~((weights >= 0) & (weights < np.inf))
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(f"weighted_bce: found weight {weights.flat[at]} at {at}, expected a finite weight >= 0")
    clamped = np.clip(labels, 0.0, 1.0)
    # This form needs neither ln s nor ln(1 - s), so it cannot overflow and never takes ln 0.
    losses = np.maximum(logits, 0) - logits * clamped + np.log1p(np.exp(-np.abs(logits)))
    loss = np.sum(weights * losses) / losses.size if losses.size else np.nan
    return np.asarray(loss, dtype=np.float64), (logits, clamped, weights, int(np.sum(clamped != labels)))


def weighted_bce_backward(dout: np.ndarray, cache: tuple[Any, ...]) -> np.ndarray:
    """dlogits = dout * weight * (sigmoid(logit) - y) / N, y the clamped label.

    Shapes: dout () -> dlogits (...); labels and weights are constants.
    """
    logits, labels, weights, _ = cache
    return np.asarray(dout * weights * (sigmoid_forward(logits)[0] - labels) / max(logits.size, 1))
