"""Train only head, final norm and embeddings of a decoder; the layers between are frozen and bypassed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.reference.model.decoder import decoder_forward
from harness.reference.model.decoder_config import parse_config
from harness.reference.ops.linear import embedding_backward, linear_backward, linear_forward
from harness.reference.ops.losses import cross_entropy_backward, cross_entropy_forward
from harness.reference.ops.norm import rmsnorm_backward, rmsnorm_forward
from harness.reference.training.clip import clip_gradients, global_norm

EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
TRAINED = (EMBEDDING, NORM, HEAD)
Weights = Mapping[str, np.ndarray]
Gradients = dict[str, np.ndarray]


def endpoint_grads(
    config: Mapping[str, Any], weights: Weights, tokens: np.ndarray, targets: np.ndarray
) -> tuple[float, Gradients]:
    """Mean cross-entropy of the targets that are not -100, and its gradient by the three trained tensors.

    The gradients of head and norm are exact. The embedding rows get the gradient at the final norm's input
    unchanged, as if the layers between were the identity.

    Shapes: tokens, targets (B, T); targets[:, t] follows tokens[:, t], -100 is ignored
            -> loss (), gradients (V, C), (C,), (V, C) by name, in the order of `TRAINED`.
    Units:  nats; every counted token weighs 1/N, N their number in the whole batch.
    Raises: ValueError if the head is tied, all targets are -100, or a token, target or tensor does not fit.
    """
    hidden = final_hidden(config, weights, tokens)
    gain, head = (np.asarray(weights[name], np.float64) for name in (NORM, HEAD))
    out, norm_cache = rmsnorm_forward(hidden, gain, parse_config(config).eps)
    logits, head_cache = linear_forward(out, head)
    loss, loss_cache = cross_entropy_forward(logits, targets)
    if not np.isfinite(loss):
        raise ValueError(f"endpoint_grads: found loss {loss}, expected a finite one: NaN where no target counts")
    dout, dhead, _ = linear_backward(cross_entropy_backward(np.ones(()), loss_cache), head_cache)
    dhidden, dgain = rmsnorm_backward(dout, norm_cache)
    dembedding = embedding_backward(dhidden, (tokens, len(weights[EMBEDDING])))
    return float(loss), {EMBEDDING: dembedding, NORM: dgain, HEAD: dhead}


def final_hidden(config: Mapping[str, Any], weights: Weights, tokens: np.ndarray) -> np.ndarray:
    """The final norm's input. Shapes: tokens (B, T) -> (B, T, C). Raises: ValueError as `decoder_forward`, or tied."""
    if parse_config(config).tied:
        raise ValueError(
            "config: found tie_word_embeddings true, expected false: head and embedding are trained separately"
        )
    _, stages = decoder_forward(config, weights, tokens)
    return stages[f"layers.{parse_config(config).layers - 1}.mlp_residual"]


def train_endpoint(
    config: Mapping[str, Any],
    weights: Weights,
    batches: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    lr: float,
    epochs: int = 1,
    max_norm: float | None = None,
    momentum: float = 0.0,
) -> dict[str, Any]:
    """Gradient descent, one step per batch, `epochs` times over the batches: v = momentum v + gradient; w -= lr v.

    Shapes: batches of (tokens (B, T), targets (B, T)) -> {"losses", "grad_norms", one per step; "weights"}.
    Units:  a step's loss is from before its update; its grad norm is from before clipping.
    Raises: ValueError as `endpoint_grads`, naming the batch, or if lr or max_norm is not positive; `weights` is
            never changed.
    """
    if not lr > 0 or not (max_norm is None or max_norm > 0):
        raise ValueError(f"train_endpoint: found lr {lr} and max_norm {max_norm}, expected positive numbers")
    current = {name: np.array(tensor, dtype=np.float64) for name, tensor in weights.items()}
    losses, norms = [], []
    velocity: Gradients = {}
    for step, (tokens, targets) in enumerate([batch for _ in range(epochs) for batch in batches]):
        try:
            loss, grads = endpoint_grads(config, current, tokens, targets)
        except ValueError as problem:
            raise ValueError(f"batch {step % len(batches)}: {problem}") from None
        losses.append(loss)
        norms.append(global_norm(grads))
        used = grads if max_norm is None else clip_gradients(grads, max_norm)[0]
        for name, grad in used.items():
            velocity[name] = grad + (momentum * velocity[name] if name in velocity else 0.0)
            current[name] = current[name] - lr * velocity[name]
    return {"losses": losses, "grad_norms": norms, "weights": current}
