"""The loss of a language model: cross-entropy over the tokens that count."""

from __future__ import annotations

from typing import Any

import numpy as np


def cross_entropy_forward(
    logits: np.ndarray, targets: np.ndarray, ignore_index: int = -100
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Mean of log(sum(exp(logits))) - logits[target] over the tokens whose target is not ignore_index.

    Shapes: logits (..., V), targets (...) of integers -> out () , cache (log probabilities (..., V), targets,
            counted (...), their count).
    Units:  nats; NaN when no token counts, as the mean of nothing.
    Raises: ValueError if the shapes do not fit, or a target is neither ignore_index nor in [0, V).
    Source: torch.nn.functional.cross_entropy with reduction "mean".
    """
    if logits.ndim < 1 or logits.shape[:-1] != targets.shape:
        raise ValueError(f"cross_entropy: found logits {logits.shape} and targets {targets.shape}, expected (..., V)")
    counted = np.asarray(targets != ignore_index)
    wrong = targets[counted & ((targets < 0) | (targets >= logits.shape[-1]))]
    if wrong.size:
        found, vocab = int(wrong.flat[0]), logits.shape[-1]
        raise ValueError(f"cross_entropy: found target {found}, expected 0 to {vocab - 1}, or {ignore_index}")
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    picked = np.take_along_axis(log_probabilities, np.where(counted, targets, 0)[..., None], axis=-1)[..., 0]
    count = int(counted.sum())
    loss = -np.sum(np.where(counted, picked, 0.0)) / count if count else np.nan
    return np.asarray(loss, dtype=np.float64), (log_probabilities, targets, counted, count)
