"""Inputs on which wrong attention shows: grouped heads, ragged lengths, keys whose scores rise along the row."""

from __future__ import annotations

import math

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.attention import attention_forward


def attention(
    case: Case,
    variant: int = 0,
    *,
    q_len: int,
    past: int,
    causal: bool,
    kv_heads: int,
    group: int,
    head_dim: int,
    spread: float,
    batch: int,
    scale: float | None = None,
    window: int | None = None,
    padded: int = 0,
    documents: int = 0,
) -> Call:
    """q_len new queries over past + q_len keys.

    The scores of every second key/value head rise by 2 * spread from the first key to
    the last, so the running maximum of an online softmax changes in every block.
    Variant 1 is other data of the same shape with half the offset, as in a cache whose
    tail is not filled yet.
    With padded, one row of the batch starts with that many padded keys and the others with none to so many, in any
    order; with documents, each row holds that many of ragged lengths, other ones in each row.
    Shapes: q (batch, kv_heads * group, q_len, head_dim), k and v (batch, kv_heads, past + q_len, head_dim).
    """
    keys = past + q_len
    q = case.array(
        f"q{variant}", lambda: _along(case, f"q{variant}", (batch, kv_heads * group, q_len, head_dim), spread)
    )
    k = case.array(f"k{variant}", lambda: _rising(case, f"k{variant}", (batch, kv_heads, keys, head_dim), spread))
    v = case.normal(f"v{variant}", (batch, kv_heads, keys, head_dim))
    offset = (past // 2 if variant else past) if causal else 0
    options = {
        "causal": causal,
        "offset": offset,
        "window": window,
        "scale": scale,
        "padding": case.array("padding", lambda: _padding(case.stream("padding"), batch, padded)) if padded else None,
        "segments": case.array("segments", lambda: _documents(case, (batch, keys), documents)) if documents else None,
    }
    return Call((q, k, v), attention_forward, options)


def _documents(case: Case, shape: tuple[int, int], count: int) -> np.ndarray:
    """Ids 0, 0, 0, 1, 1, ... that rise at random places. Shapes: -> shape, int64."""
    stream, ids = case.stream("segments"), np.zeros(shape, dtype=np.int64)
    for row in ids:
        row[stream.choice(np.arange(1, shape[1]), min(count, shape[1]) - 1, replace=False)] = 1
    return ids.cumsum(axis=1)


def _padding(stream: np.random.Generator, batch: int, most: int) -> np.ndarray:
    """Counts from 0 to `most`, one of them `most`, in a drawn order. Shapes: -> (batch,), int64."""
    counts = stream.integers(0, most + 1, batch)
    counts[stream.integers(batch)] = most
    return np.asarray(counts)


def _along(case: Case, name: str, shape: tuple[int, ...], spread: float) -> np.ndarray:
    """Noise plus a common direction, which the keys share."""
    return case.stream(name).standard_normal(shape) + _strength(spread, shape[-1]) * _direction(case, shape[-1])


def _rising(case: Case, name: str, shape: tuple[int, ...], spread: float) -> np.ndarray:
    ramp = np.linspace(-1, 1, shape[2])[:, None] * (np.arange(shape[1]) % 2)[:, None, None]
    return case.stream(name).standard_normal(shape) + ramp * _strength(spread, shape[-1]) * _direction(case, shape[-1])


def _strength(spread: float, head_dim: int) -> float:
    """Length s of the common part in q and k, so that s * s / sqrt(D) is the spread of the scaled scores."""
    return math.sqrt(spread * math.sqrt(head_dim))


def _direction(case: Case, head_dim: int) -> np.ndarray:
    direction = case.stream("direction").standard_normal(head_dim)
    return np.asarray(direction / np.linalg.norm(direction))
