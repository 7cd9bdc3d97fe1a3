"""Scaled dot-product attention with grouped key/value heads, and its masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.reference.ops.softmax import softmax_backward, softmax_forward


def attention_forward(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    *,
    causal: bool = True,
    scale: float | None = None,
    offset: int = 0,
    window: int | None = None,
    padding: np.ndarray | None = None,
    segments: np.ndarray | None = None,
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """softmax(scale * q k^T + mask) v; query head h reads key/value head h // (H // KV).

    Shapes: q (B, H, Tq, D), k (B, KV, Tk, D), v (B, KV, Tk, Dv), padding (B,), segments (B, Tk)
            -> out (B, H, Tq, Dv), cache (q, k, v, probabilities (B, H, Tq, Tk), scale).
    Units:  scale defaults to 1/sqrt(D); with causal, query t sees keys j <= t + offset
            (offset = Tk - Tq when the queries are the newest tokens of a cache); `visible_keys` defines the
            masks. The output of a query that sees no key (a padded query) is 0. No attention sinks.
    Raises: ValueError if the shapes do not fit, or offset < 0 under a causal mask.
    Source: arXiv:1706.03762 section 3.2.1; grouped heads arXiv:2305.13245; mask
            alignment as torch.nn.attention.bias.causal_lower_right; 0 for a row without
            keys as torch.nn.functional.scaled_dot_product_attention.
    """
    _check_shapes(q, k, v)
    _check_masks(q, k, window, padding, segments)
    if causal and offset < 0:
        raise ValueError(f"attention: found offset {offset}, expected >= 0 with a causal mask")
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    group = q.shape[1] // k.shape[1]
    scores = scale * (q @ np.repeat(k, group, axis=1).swapaxes(-1, -2))
    visible = visible_keys(
        q.shape[2], k.shape[2], causal=causal, offset=offset, window=window, padding=padding, segments=segments
    )[:, None]
    some = visible.any(axis=-1, keepdims=True)
    # The softmax of a row without keys is NaN, so such a row is computed unmasked and then set to 0.
    probabilities, _ = softmax_forward(np.where(visible | ~some, scores, -np.inf))
    probabilities = np.where(some, probabilities, 0.0)
    return probabilities @ np.repeat(v, group, axis=1), (q, k, v, probabilities, scale)


def attention_backward(dout: np.ndarray, cache: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Five steps: dV = P^T dO; dP = dO V^T; dS = P * (dP - rowsum(P * dP)); dQ = scale dS K; dK = scale dS^T Q.

    Masked keys have P = 0, so their gradients are 0; a key/value head's gradient is summed over its query heads.
    Shapes: dout (B, H, Tq, Dv) -> dq (B, H, Tq, D), dk (B, KV, Tk, D), dv (B, KV, Tk, Dv).
    Source: arXiv:2205.14135, appendix B.2; grouped heads arXiv:2305.13245.
    """
    q, k, v, probabilities, scale = cache
    group = q.shape[1] // k.shape[1]
    dv = probabilities.swapaxes(-1, -2) @ dout
    dprobabilities = dout @ np.repeat(v, group, axis=1).swapaxes(-1, -2)
    dscores = softmax_backward(dprobabilities, (probabilities, -1))
    dq = scale * (dscores @ np.repeat(k, group, axis=1))
    dk = scale * (dscores.swapaxes(-1, -2) @ q)
    return dq, _summed(dk, group), _summed(dv, group)


def _summed(per_query_head: np.ndarray, group: int) -> np.ndarray:
    batch, heads, keys, dim = per_query_head.shape
    return np.asarray(per_query_head.reshape(batch, heads // group, group, keys, dim).sum(axis=2))


def causal_mask(queries: int, keys: int, offset: int = 0) -> np.ndarray:
    """Whether query t may see key j: j <= t + offset.

    Shapes: -> (queries, keys), bool.
    """
    return np.arange(keys) <= np.arange(queries)[:, None] + offset


def visible_keys(
    queries: int,
    keys: int,
    *,
    causal: bool = True,
    offset: int = 0,
    window: int | None = None,
    padding: np.ndarray | None = None,
    segments: np.ndarray | None = None,
) -> np.ndarray:
    """Whether query t, at position p = t + offset, sees key j in row b: all given masks must allow it.

    Shapes: padding (B,), segments (B, keys) -> (B, queries, keys), bool; B is 1 without either.
    Units:  window: p - window < j, so exactly `window` keys under a causal mask; padding: the first padding[b]
            keys are padding and are hidden; segments: document ids, a query sees only keys with its own id.
    Source: transformers' masking_utils: sliding_window_overlay, padding_mask_function,
            packed_sequence_mask_function; packing as in arXiv:2107.02027.
    """
    position, key = np.arange(queries)[:, None] + offset, np.arange(keys)
    visible = np.ones((1, queries, keys), dtype=bool)
    if causal:
        visible = visible & causal_mask(queries, keys, offset)
    if window is not None:
        visible = visible & (key > position - window)
    if padding is not None:
        visible = visible & (key >= padding[:, None, None])
    if segments is not None:
        visible = visible & (segments[:, offset : offset + queries, None] == segments[:, None, :])
    return visible


def _check_masks(
    q: np.ndarray, k: np.ndarray, window: int | None, padding: np.ndarray | None, segments: np.ndarray | None
) -> None:
    if window is not None and window < 1:
        raise ValueError(f"attention: found window {window}, expected >= 1")
    for name, mask, shape in (("padding", padding, q.shape[:1]), ("segments", segments, (len(q), k.shape[2]))):
        if mask is not None and np.shape(mask) != shape:
            raise ValueError(f"attention: found {name} {np.shape(mask)}, expected {shape}")


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
