"""Deterministic choice of token ids from logits: top-k, argmax, and the margin between the two largest logits."""

from __future__ import annotations

from typing import Any

import numpy as np


def top_k_forward(logits: np.ndarray, k: int) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Ids of the k largest logits, largest first; among equal logits the lowest id comes first.

    Shapes: logits (..., V) -> ids (..., k), int64, cache (values (..., k),).
    Raises: ValueError if k is not in 1 .. V.
    """
    if not 1 <= k <= logits.shape[-1]:
        raise ValueError(f"top_k: found k {k}, expected 1 to {logits.shape[-1]}")
    ids = np.argsort(-logits, axis=-1, kind="stable")[..., :k]
    return ids.astype(np.int64), (np.take_along_axis(logits, ids, axis=-1),)


def argmax_forward(logits: np.ndarray, vocab_size: int | None = None) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Id of the largest logit, the lowest id on a tie; columns from vocab_size on are padding and are never chosen.

    Shapes: logits (..., V) -> ids (...), int64, cache (values (...),).
    Raises: ValueError if vocab_size is not in 1 .. V.
    """
    if vocab_size is not None and not 1 <= vocab_size <= logits.shape[-1]:
        raise ValueError(f"argmax: found vocab_size {vocab_size}, expected 1 to {logits.shape[-1]}")
    ids = logits[..., :vocab_size].argmax(axis=-1)
    return np.asarray(ids, dtype=np.int64), (np.take_along_axis(logits, ids[..., None], axis=-1)[..., 0],)


def margin(logits: np.ndarray) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Largest logit minus the second largest; a smaller error in this difference cannot change the greedy token.

    Shapes: logits (..., V), V >= 2 -> out (...), cache (ids (..., 2),).
    Raises: ValueError if V < 2.
    """
    ids, (values,) = top_k_forward(logits, 2)
    return values[..., 0] - values[..., 1], (ids,)
