"""A decoder's prefill and decode in float64, with a key/value cache and rows padded on the left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.reference.model.decoder import _checked, _forward
from harness.reference.model.decoder_config import DecoderConfig
from harness.reference.ops.rope import rope_forward
from harness.reference.ops.softmax import softmax_forward

Weights = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class KVCache:
    """Keys and values of earlier tokens. `decode` returns a new, longer cache and does not change this one.

    Shapes: keys and values per layer (B, KV, S, D), keys rotated; real (B, S), False on padding.
    """

    keys: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]
    real: np.ndarray


def prefill(
    config: Mapping[str, Any], weights: Weights, tokens: np.ndarray, lengths: np.ndarray | None = None
) -> tuple[np.ndarray, KVCache]:
    """Logits at every position of a prompt, and the prompt's cache.

    Shapes: tokens (B, T); lengths (B,), how many real tokens end each row;
            -> logits (B, T, V), NaN at padding.
    Raises: ValueError if the config, a tensor, a token id or a length does not fit.
    Source: positions count real tokens only and padding is masked, as transformers' `generate` does.
    """
    model = _checked(config, weights, tokens)
    B, T = tokens.shape
    lengths = np.full(B, T) if lengths is None else np.asarray(lengths)
    if lengths.shape != (B,) or lengths.min() < 1 or lengths.max() > T:
        raise ValueError(f"lengths: found {lengths.tolist()}, expected {B} numbers from 1 to {T}")
    nothing = np.zeros((B, model.kv_heads, 0, model.head_dim))
    empty = KVCache((nothing,) * model.layers, (nothing,) * model.layers, np.zeros((B, 0), bool))
    return _extend(model, weights, tokens, np.arange(T) >= T - lengths[:, None], empty)


def decode(
    config: Mapping[str, Any], weights: Weights, tokens: np.ndarray, cache: KVCache
) -> tuple[np.ndarray, KVCache]:
    """Logits of the next n tokens of every row, n >= 1, and the longer cache.

    Shapes: tokens (B, n) -> logits (B, n, V).
    Raises: ValueError if a token id or the cache's batch does not fit.
    """
    model = _checked(config, weights, tokens)
    if len(cache.real) != len(tokens) or len(cache.keys) != model.layers:
        raise ValueError(
            f"cache: found batch {len(cache.real)} and {len(cache.keys)} layers, "
            f"expected {len(tokens)} and {model.layers}"
        )
    return _extend(model, weights, tokens, np.ones(tokens.shape, bool), cache)


def cache_of_one_layer(config: Mapping[str, Any], weights: Weights, tokens: np.ndarray) -> KVCache:
    """The cache of a prompt without its logits: no attention, so its time grows with T and not with T squared.

    Shapes: tokens (B, T), all real. Raises: ValueError if the model has more than one layer.
    """
    model = _checked(config, weights, tokens)
    if model.layers != 1:
        raise ValueError(f"config: found {model.layers} layers, expected one, whose keys need no attention before")
    positions, kept = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape), list[np.ndarray]()

    def attend(i: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        k, v = (x.reshape(*x.shape[:2], -1, model.head_dim).swapaxes(1, 2) for x in (k, v))
        kept.extend([_rotated(k, positions, model.theta), v])
        return np.zeros_like(q)

    _forward(model, weights, tokens, lambda _, value: value, attend)
    return KVCache((kept[0],), (kept[1],), np.ones(tokens.shape, bool))


def _extend(
    model: DecoderConfig, weights: Weights, tokens: np.ndarray, real: np.ndarray, cache: KVCache
) -> tuple[np.ndarray, KVCache]:
    old, new = cache.real.shape[1], tokens.shape[1]
    real = np.concatenate([cache.real, real], axis=1)
    positions = np.maximum(np.cumsum(real, axis=1) - 1, 0)[:, old:]
    queries, slots = np.arange(old, old + new)[:, None], np.arange(old + new)
    # A padded query sees itself: a softmax over no keys is NaN, and 0 * NaN would spread to real queries.
    visible = (slots <= queries) & real[:, None, :] | (slots == queries)
    keys, values = list(cache.keys), list(cache.values)

    def attend(i: int, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        q, k, v = (x.reshape(*x.shape[:2], -1, model.head_dim).swapaxes(1, 2) for x in (q, k, v))
        keys[i] = np.concatenate([keys[i], _rotated(k, positions, model.theta)], axis=2)
        values[i] = np.concatenate([values[i], v], axis=2)
        return _attention(model, _rotated(q, positions, model.theta), keys[i], values[i], visible)

    logits = _forward(model, weights, tokens, lambda _, value: value, attend)
    logits = np.where(real[:, old:, None], logits, np.nan)
    return logits, KVCache(tuple(keys), tuple(values), real)


def _attention(model: DecoderConfig, q: np.ndarray, k: np.ndarray, v: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """q (B, H, n, D), k and v (B, KV, S, D), visible (B, n, S) -> (B, n, H*D)."""
    k, v = (np.repeat(x, model.heads // model.kv_heads, axis=1) for x in (k, v))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(model.head_dim)
    probs, _ = softmax_forward(np.where(visible[:, None], scores, -np.inf))
    return (probs @ v).swapaxes(1, 2).reshape(q.shape[0], q.shape[2], -1)


def _rotated(x: np.ndarray, positions: np.ndarray, theta: float) -> np.ndarray:
    """Rotate every row by its own positions. Shapes: x (B, heads, n, D), positions (B, n)."""
    rows = [rope_forward(x[b : b + 1], positions[b], theta=theta)[0] for b in range(len(x))]
    return np.concatenate(rows)
