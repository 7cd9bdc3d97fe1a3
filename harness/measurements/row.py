"""One row of raw sums: what is known of one pair (got, want) in one case, as JSON carries it; loads no NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:
    import numpy as np

Number = float | str
"""A float as JSON can carry it: one that is not finite is the text nan, inf or -inf."""
Sums = dict[str, Number | list[int]]
"""What one measurement adds to a row: its raw sums by key, decoded, and where it wants the deciding place named, `at`
with `got` and `want`."""


class Row(TypedDict):
    """The sums of one pair (got, want) in one case. Single measurements add keys of their own, read with `number`."""

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
    """Where the largest error is; `got` and `want` stand there."""
    got: NotRequired[Number]
    want: NotRequired[Number]
    nonfinite: NotRequired[int]
    single: NotRequired[bool]
    """Every value is a float32 number, though float64 was asked for."""
    shape: NotRequired[str]
    kind: NotRequired[str]
    exact: NotRequired[bool]
    """Compared for equality, or by special values: there are no errors."""
    mismatches: NotRequired[int]


BLOCK = 1 << 15
"""Elements: a block of two float64 arrays fits a cache."""


def encode(value: float) -> Number:
    """A float as JSON can carry it."""
    return float(value) if math.isfinite(value) else str(float(value))


def number(row: Row, key: str) -> float:
    """The row's number under `key`, decoded; NaN where the row has none."""
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
