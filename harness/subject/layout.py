"""How the arrays of a call lie in memory: the same numbers, other strides."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import EXPANDED
from harness.subject.arrays import plain, same_bytes

CONTIGUOUS = "contiguous"


def laid_out(value: Any, layout: str) -> Any:
    """The same numbers in a copy with other strides; NumPy array or torch tensor, as it came.

    Shapes: kept. Arrays of one number or none keep their layout.
    strided:    every second element of a row twice as long
    transposed: the last two axes lie in memory in the other order; a vector is strided
    offset:     rows begin one element late and are one element apart, so that they are not aligned
    expanded:   one slice of the first axis with stride 0, where all slices are the same, as the case makes them
    What lies between is NaN, or the largest of whole numbers, which is a valid but a wrong id.
    """
    count = value.size if isinstance(value, np.ndarray) else value.numel()
    if layout == CONTIGUOUS or count < 2:
        return value
    if layout == EXPANDED:
        return _expanded(value)
    if layout == "transposed" and value.ndim > 1:
        swapped = value.swapaxes(-1, -2)
        return (swapped.copy() if isinstance(value, np.ndarray) else swapped.contiguous()).swapaxes(-1, -2)
    if layout == "offset":
        return _within(value, value.shape[-1] + 1, slice(1, None))
    return _within(value, 2 * value.shape[-1], slice(None, None, 2))


def _expanded(value: Any) -> Any:
    """The first slice seen once for each of the others; the value itself where they differ, or it is a vector."""
    numbers = plain(value)
    if value.ndim < 2 or not same_bytes(numbers, np.broadcast_to(numbers[:1], numbers.shape)):
        return value
    if isinstance(value, np.ndarray):
        # Unlike np.broadcast_to, writable: a kernel that edits its input is found by that, not by an exception.
        return np.lib.stride_tricks.as_strided(value[:1].copy(), value.shape, (0, *value.strides[1:]))
    return value[:1].clone().expand(value.shape)


def _within(value: Any, width: int, part: slice) -> Any:
    """A copy of the value as a part of longer rows."""
    shape = (*value.shape[:-1], width)
    if isinstance(value, np.ndarray):
        between: Any = np.nan if value.dtype.kind == "f" else value.max()
        view = np.full(shape, between, value.dtype)[..., part]
        view[...] = value
        return view
    between = float("nan") if value.is_floating_point() else value.max()
    view = value.new_zeros(shape).fill_(between)[..., part]
    view.copy_(value)
    return view
