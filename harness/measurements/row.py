"""One row of raw sums: the measured facts of one pair (got, want) in one case, as JSON data; loads no NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:
    import numpy as np

Number = float | str
"""A float as JSON stores it: one that is not finite is the text nan, inf or -inf."""
Sums = dict[str, Number | list[int]]
"""The keys that one measurement adds to a row: its raw sums, decoded, and optionally the deciding index `at` with the
values `got` and `want` there."""


class Row(TypedDict):
    """The sums of one pair (got, want) in one case. Measurements add further keys, which `number` reads."""

    case: int
    pair: str
    dtype: str
    n: int
    """How many elements were compared."""
    err_sq: NotRequired[Number]
    ref_sq: NotRequired[Number]
    err_max: NotRequired[Number]
    ref_max: NotRequired[Number]
    at: NotRequired[list[int]]
    """The index of the largest error; `got` and `want` are the values there."""
    got: NotRequired[Number]
    want: NotRequired[Number]
    nonfinite: NotRequired[int]
    single: NotRequired[bool]
    """True if every value is a float32 number, though the case is in float64."""
    shape: NotRequired[str]
    kind: NotRequired[str]
    exact: NotRequired[bool]
    """True if the pair was compared for equality or by special values; the row has no errors then."""
    mismatches: NotRequired[int]


BLOCK = 1 << 15
"""Elements per block; two float64 arrays of this size fit a cache."""


def encode(value: float) -> Number:
    """Convert a float to a form that JSON can store."""
    return float(value) if math.isfinite(value) else str(float(value))


def number(row: Row, key: str) -> float:
    """The row's number under `key`, decoded; NaN if the row has no such key."""
    found: Any = row.get(key, math.nan)
    return float(found)


def blocks(got: np.ndarray, want: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(first element, got, want) of each block, flat and in float64.

    Shapes: got and want any, equal -> at most (BLOCK,) each.
    """
    flat_got, flat_want = got.reshape(-1), want.reshape(-1)
    for start in range(0, want.size, BLOCK):
        part = slice(start, start + BLOCK)
        yield start, flat_got[part].astype("f8"), flat_want[part].astype("f8")
