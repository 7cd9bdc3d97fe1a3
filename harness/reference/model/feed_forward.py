"""Declared feed-forward layers: gated or plain, and mixtures of experts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.reference.model.declaration import Experts, FeedForward
from harness.reference.model.norms import ACTIVATIONS
from harness.reference.model.tensors import Reader
from harness.reference.ops.activations import sigmoid_forward
from harness.reference.ops.softmax import softmax_forward

At = Callable[[str, np.ndarray], np.ndarray]
ROUTED = "router_weights"


def feed_forward(
    f: FeedForward, read: Reader, h: np.ndarray, at: At, prefix: str = "", expert: int | None = None
) -> np.ndarray:
    """Shapes: h (..., C) -> (..., C)."""
    gate = at("gate_proj", read.linear(f"{prefix}gate", h, expert) * f.multipliers[0]) if f.gated else None
    up = at("up_proj", read.linear(f"{prefix}up", h, expert))
    act = at("mlp_act", ACTIVATIONS[f.act](up) if gate is None else _gate(f, gate) * _clamped(f, up))
    return at("down_proj", read.linear(f"{prefix}down", act, expert) * f.multipliers[1])


def _gate(f: FeedForward, gate: np.ndarray) -> np.ndarray:
    if f.clamp is None:
        return ACTIVATIONS[f.act](gate)
    alpha, limit = f.clamp
    gate = np.minimum(gate, limit)
    return gate * sigmoid_forward(alpha * gate)[0]


def _clamped(f: FeedForward, up: np.ndarray) -> np.ndarray:
    return up if f.clamp is None else np.clip(up, -f.clamp[1], f.clamp[1]) + 1


def experts(e: Experts, read: Reader, h: np.ndarray, at: At) -> np.ndarray:
    """Each row by its chosen experts, weighted and summed, and by the shared one. Shapes: h (B, n, C) -> (B, n, C)."""
    logits = at("router", read.linear("router", h))
    weights = at(ROUTED, routed(e, logits, read("router.correction") if e.correction else None))
    inner = h if e.latent is None else at("latent_in", read.linear("latent_in", h))
    flat, share = inner.reshape(-1, inner.shape[-1]), weights.reshape(-1, e.count)
    out = np.zeros_like(flat)
    for number in range(e.count):
        rows = np.flatnonzero(share[:, number])
        if rows.size:
            own = feed_forward(e.expert, read, flat[rows], lambda _, value: value, "experts.", number)
            out[rows] += share[rows, number, None] * own
    out = out.reshape(inner.shape)
    out = at("experts", out if e.latent is None else read.linear("latent_out", out))
    if e.shared is None:
        return out
    shared = feed_forward(e.shared, read, h, lambda _, value: value, "shared.")
    if e.shared_gate:
        shared = shared * sigmoid_forward(read.linear("shared_gate", h))[0]
    return out + at("shared_expert", shared)


def routed(e: Experts, logits: np.ndarray, correction: np.ndarray | None) -> np.ndarray:
    """Each expert's weight, 0 if it is not chosen. Shapes: logits (B, n, E), correction (E,) -> (B, n, E).

    Units:  of equal scores the first expert is chosen.
    Source: arXiv:2101.03961; groups and correction as transformers' DeepseekV3TopkRouter (arXiv:2412.19437).
    """
    scores = logits
    if e.score == "softmax":
        scores = softmax_forward(logits)[0]
    elif e.score == "sigmoid":
        scores = sigmoid_forward(logits)[0]
    choice = scores if correction is None else scores + correction
    if e.groups > 1:
        choice = np.where(_in_chosen_groups(e, choice), choice, -np.inf)
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, np.argsort(-choice, axis=-1, kind="stable")[..., : e.chosen], True, axis=-1)
    if e.score == "softmax_of_chosen":
        return softmax_forward(np.where(chosen, logits, -np.inf))[0] * e.scale
    weights = np.where(chosen, choice if e.correction == "weights" else scores, 0.0)
    if e.renormalise:
        weights = weights / (weights.sum(axis=-1, keepdims=True) + e.floor)
    return weights * e.scale


def _in_chosen_groups(e: Experts, choice: np.ndarray) -> np.ndarray:
    """A group's score is the sum of its two best. Shapes: (B, n, E) -> (B, n, E) booleans."""
    grouped = choice.reshape(*choice.shape[:-1], e.groups, -1)
    best = np.sort(grouped, axis=-1)[..., -2:].sum(axis=-1)
    chosen = np.zeros(best.shape, bool)
    np.put_along_axis(chosen, np.argsort(-best, axis=-1, kind="stable")[..., : e.chosen_groups], True, axis=-1)
    return np.broadcast_to(chosen[..., None], grouped.shape).reshape(choice.shape)
