"""One row of raw sums: what is known of one pair (got, want) in one case, as JSON carries it; loads no NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Number = float | str
"""A float as JSON can carry it: one that is not finite is the text nan, inf or -inf."""
Row = dict[str, Any]
BLOCK = 1 << 15
"""Elements: a block of two float64 arrays fits a cache."""


def encode(value: float) -> Number:
    """A float as JSON can carry it."""
    return float(value) if math.isfinite(value) else str(float(value))


def number(row: Row, key: str) -> float:
    """The row's number under `key`, decoded; NaN where the row has none."""
    return float(row.get(key, math.nan))


def blocks(got: np.ndarray, want: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(first element, got, want) of each block, flat and in float64.

    Shapes: got and want any, equal -> at most (BLOCK,) each.
    """
    flat_got, flat_want = got.reshape(-1), want.reshape(-1)
    for start in range(0, want.size, BLOCK):
        part = slice(start, start + BLOCK)
        yield start, flat_got[part].astype("f8"), flat_want[part].astype("f8")
