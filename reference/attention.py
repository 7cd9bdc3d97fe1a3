"""Scaled dot-product attention with grouped key/value heads and a causal mask."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reference.softmax import softmax_forward


def attention_forward(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    *,
    causal: bool = True,
    scale: float | None = None,
    offset: int = 0,
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """softmax(scale * q k^T + mask) v, query head h reading key/value head h // (H // KV).

    Shapes: q (B, H, Tq, D), k (B, KV, Tk, D), v (B, KV, Tk, Dv) -> out (B, H, Tq, Dv),
            cache (q, k, v, probabilities (B, H, Tq, Tk), scale).
    Units:  scale defaults to 1/sqrt(D); with causal, query t sees keys j <= t + offset
            (offset = Tk - Tq when the queries are the newest tokens of a cache).
    Raises: ValueError if the shapes do not fit, or offset < 0 under a causal mask
            (a query that sees no key has no softmax).
    Source: arXiv:1706.03762 section 3.2.1; grouped heads arXiv:2305.13245; mask
            alignment as torch.nn.attention.bias.causal_lower_right.
    """
    _check_shapes(q, k, v)
    if causal and offset < 0:
        raise ValueError(f"attention: found offset {offset}, expected >= 0 with a causal mask")
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    group = q.shape[1] // k.shape[1]
    scores = scale * (q @ np.repeat(k, group, axis=1).swapaxes(-1, -2))
    if causal:
        scores = np.where(causal_mask(q.shape[2], k.shape[2], offset), scores, -np.inf)
    probabilities, _ = softmax_forward(scores)
    return probabilities @ np.repeat(v, group, axis=1), (q, k, v, probabilities, scale)


def causal_mask(queries: int, keys: int, offset: int = 0) -> np.ndarray:
    """Whether query t may see key j: j <= t + offset.

    Shapes: -> (queries, keys), bool.
    """
    return np.arange(keys) <= np.arange(queries)[:, None] + offset


def _check_shapes(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> None:
    if not q.ndim == k.ndim == v.ndim == 4:
        raise ValueError(f"attention: found q {q.shape}, k {k.shape}, v {v.shape}, expected 4 axes each")
    (batch, heads, _, dim), (_, kv_heads, keys, _) = q.shape, k.shape
    if k.shape[0] != batch or k.shape[3] != dim or v.shape[:3] != k.shape[:3]:
        raise ValueError(
            f"attention: found q {q.shape}, k {k.shape}, v {v.shape}, "
            f"expected k ({batch}, KV, Tk, {dim}) and v ({batch}, {kv_heads}, {keys}, Dv)"
        )
    if not kv_heads or heads % kv_heads:
        raise ValueError(f"attention: found {heads} query heads, expected a multiple of the {kv_heads} key/value heads")
