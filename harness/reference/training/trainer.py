"""Train a decoder in float64: the expected loss and gradient norm of every step, and the final weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.reference.model.decoder_backward import loss_and_grads
from harness.reference.precision import wide
from harness.reference.training.accumulator import accumulate
from harness.reference.training.clip import clip_gradients
from harness.reference.training.optim import adamw_update, new_state

Arrays = Mapping[str, np.ndarray]
IGNORED = -100


def train(
    config: Mapping[str, Any],
    weights: Arrays,
    batches: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    lr: float,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    max_norm: float | None = None,
    micro_batches: int = 1,
) -> dict[str, Any]:
    """One AdamW update per batch, in order; micro-batch gradients are averaged by their tokens, then clipped.

    Shapes: batches [(tokens (B, T), targets (B, T))], -100 ignored; `micro_batches` splits the rows in order.
    Returns losses and grad_norms, one per step, from before the update, norms before clipping; and the final weights.
    Raises: ValueError naming the batch and its fault; arguments are never changed.
    """
    held = {name: wide(tensor) for name, tensor in weights.items()}
    state = new_state(held)
    losses, norms = [], []
    for i, (tokens, targets) in enumerate(batches):
        loss, grads = _mean(config, held, tokens, targets, micro_batches, f"batch {i}")
        clipped, norm = clip_gradients(grads, np.inf if max_norm is None else max_norm)
        held, state = adamw_update(held, clipped, state, lr=lr, eps=eps, weight_decay=weight_decay)
        losses.append(loss)
        norms.append(norm)
    return {"losses": losses, "grad_norms": norms, "weights": held}


def _mean(
    config: Mapping[str, Any], weights: Arrays, tokens: np.ndarray, targets: np.ndarray, parts: int, what: str
) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and gradient of the mean over all counted tokens of a batch."""
    counts, losses, grads = [], [], []
    for rows in np.array_split(np.arange(len(tokens)), parts):
        counts.append(int(np.sum(targets[rows] != IGNORED)))
        if not counts[-1]:
            raise ValueError(f"{what}: found no target that counts in a micro-batch, expected at least one")
        try:
            loss, grad = loss_and_grads(config, weights, tokens[rows], targets[rows])
        except ValueError as problem:
            raise ValueError(f"{what}: {problem}") from None
        if not np.isfinite(loss):
            raise ValueError(f"{what}: found a loss of {loss}, expected a finite number; no step is taken")
        losses.append(loss)
        grads.append(grad)
    return float(np.dot(counts, losses) / np.sum(counts)), accumulate(grads, counts)
