"""A whole attention whose parts can be replaced one by one: head mapping, mask, weights, scale."""

from __future__ import annotations

import numpy as np
from reordered.width import wide


def shared(head, heads, kv_heads):
    """The key/value head of a query head: equal, consecutive groups."""
    return head // (heads // kv_heads)


def visible(queries, keys, causal, offset, window, padding, segments):
    """Which keys a query sees. Shapes: -> (1 or B, queries, keys), bool."""
    at, key = np.arange(queries)[:, None] + offset, np.arange(keys)
    seen = np.ones((1, queries, keys), bool)
    if causal:
        seen = seen & (key <= at)
    if window is not None:
        seen = seen & (key > at - window)
    if padding is not None:
        seen = seen & (key >= np.asarray(padding)[:, None, None])
    if segments is not None:
        own = segments[:, offset : offset + queries]
        seen = seen & (own[:, :, None] == segments[:, None])
    return seen


def weighed(scores, seen):
    """Softmax over the keys that are seen; a query that sees none has no weights."""
    hidden = np.where(seen, scores, -np.inf)
    top = hidden.max(axis=-1, keepdims=True)
    weights = np.exp(hidden - np.where(np.isneginf(top), 0, top))
    total = weights.sum(axis=-1, keepdims=True)
    return np.where(seen, weights / np.where(total == 0, 1, total), 0)


def attend(
    q,
    k,
    v,
    *,
    causal=True,
    scale=None,
    offset=0,
    window=None,
    padding=None,
    segments=None,
    groups=shared,
    mask=visible,
    weigh=weighed,
):
    """softmax(scale q kᵀ) v, each part by its own function. Shapes: q (B, H, Tq, D), k, v (B, KV, Tk, ·)."""
    heads, kv_heads = q.shape[1], k.shape[1]
    of = [min(groups(head, heads, kv_heads), kv_heads - 1) for head in range(heads)]
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    keys, values = wide(k)[:, of], wide(v)[:, of]
    scores = wide(q) @ np.swapaxes(keys, -1, -2) * keys.dtype.type(scale)
    seen = mask(q.shape[2], k.shape[2], causal, offset, window, padding, segments)[:, None]
    return (weigh(scores, np.broadcast_to(seen, scores.shape)) @ values).astype(q.dtype)
