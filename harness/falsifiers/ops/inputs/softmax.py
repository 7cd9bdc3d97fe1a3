"""Inputs on which a wrong softmax shows: rows far below zero, far above, rising, and with one dominant entry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.softmax import softmax_forward

FAR = 200.0
"""exp(200) overflows float32 and exp(-200) is 0 in it: only the row's own maximum saves such a row."""


def softmax(case: Case, variant: int = 0, *, rows: int, length: int) -> Call:
    """Rows of the kinds below in turn, the first kind drawn, so that a single row is not always the same one.

    Variant 1 is other data of the same shape.
    Shapes: x (rows, length).
    """
    x = case.array(f"x{variant}", lambda: _rows(case.stream(f"x{variant}"), rows, length))
    return Call((x,), softmax_forward)


def _rows(stream: np.random.Generator, rows: int, length: int) -> np.ndarray:
    first = int(stream.integers(len(KINDS)))
    noise = stream.standard_normal((rows, length))
    return np.stack([KINDS[(first + row) % len(KINDS)](noise[row]) for row in range(rows)])


def _below(noise: np.ndarray) -> np.ndarray:
    """All far below zero: a zero that leaks from a padding lane outweighs the whole row."""
    return noise - FAR


def _above(noise: np.ndarray) -> np.ndarray:
    """All far above zero: overflows unless the maximum is subtracted."""
    return noise + FAR


def _wide(noise: np.ndarray) -> np.ndarray:
    """A wide range of both signs."""
    return 8 * noise


def _rising(noise: np.ndarray) -> np.ndarray:
    """The running maximum changes from block to block."""
    return noise + np.linspace(-12, 0, noise.size)


def _dominant_last(noise: np.ndarray) -> np.ndarray:
    """One entry outweighs the rest, in the last, partial block."""
    return np.asarray(noise + np.where(np.arange(noise.size) == noise.size - 1, 14.0, 0.0))


def _falling(noise: np.ndarray) -> np.ndarray:
    """Each block's maximum is below the one before: a running maximum that follows the block loses the first ones."""
    return noise - np.linspace(0, 120, noise.size)


def _equal(noise: np.ndarray) -> np.ndarray:
    """All equal: every weight is 1 / length."""
    return np.full_like(noise, noise[0])


def _masked(noise: np.ndarray) -> np.ndarray:
    """All but the last third is -inf, the first blocks whole: the first running maximum is -inf."""
    return np.where(np.arange(noise.size) < noise.size * 2 // 3, -np.inf, noise)


def _spread(noise: np.ndarray) -> np.ndarray:
    """Entries from -100 to 100 in a drawn order: exp(200) overflows float32 where a maximum is not rescaled."""
    return np.asarray(np.linspace(-100, 100, noise.size)[np.argsort(noise)] if noise.size > 1 else noise)


KINDS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    _below,
    _rising,
    _wide,
    _above,
    _dominant_last,
    _falling,
    _equal,
    _masked,
    _spread,
)
