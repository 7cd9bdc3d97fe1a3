"""A decoder's prefill and decode in float64, with a cache and rows padded on the left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.reference.model.decoder import Cache, Weights, checked, extend
from harness.reference.model.tensors import Reader


def prefill(
    config: Mapping[str, Any], weights: Weights, tokens: np.ndarray, lengths: np.ndarray | None = None
) -> tuple[np.ndarray, Cache]:
    """Logits at every position of a prompt, and the prompt's cache.

    Shapes: tokens (B, T); lengths (B,), how many real tokens end each row;
            -> logits (B, T, V), NaN at padding.
    Raises: ValueError if the config, a tensor, a token id or a length does not fit.
    Source: positions count real tokens only and padding is masked, as transformers' `generate` does.
    """
    read = Reader(checked(config, weights, tokens), weights)
    B, T = tokens.shape
    lengths = np.full(B, T) if lengths is None else np.asarray(lengths)
    if lengths.shape != (B,) or lengths.min() < 1 or lengths.max() > T:
        raise ValueError(f"lengths: found {lengths.tolist()}, expected {B} numbers from 1 to {T}")
    new = np.arange(T) >= T - lengths[:, None]
    logits, cache = extend(read, tokens, new)
    return np.where(new[..., None], logits, np.nan), cache


def decode(config: Mapping[str, Any], weights: Weights, tokens: np.ndarray, cache: Cache) -> tuple[np.ndarray, Cache]:
    """Logits of the next n tokens of every row, n >= 1, and the longer cache.

    Shapes: tokens (B, n) -> logits (B, n, V).
    Raises: ValueError if a token id or the cache's batch does not fit.
    """
    read = Reader(checked(config, weights, tokens), weights)
    layers = len(read.stored.decoder.blocks)
    if len(cache.real) != len(tokens) or len(cache.blocks) != layers:
        raise ValueError(
            f"cache: found batch {len(cache.real)} and {len(cache.blocks)} layers, expected {len(tokens)} and {layers}"
        )
    return extend(read, tokens, np.ones(tokens.shape, bool), cache)


def cache_of_one_layer(config: Mapping[str, Any], weights: Weights, tokens: np.ndarray) -> Cache:
    """The cache of a prompt without its logits: no attention, so its time grows with T and not with T squared.

    Shapes: tokens (B, T), all real. Raises: ValueError if the model has more than one layer.
    """
    read = Reader(checked(config, weights, tokens), weights)
    layers = len(read.stored.decoder.blocks)
    if layers != 1:
        raise ValueError(f"config: found {layers} layers, expected one, whose keys need no attention before")
    return extend(read, tokens, np.ones(tokens.shape, bool), blind=True)[1]
