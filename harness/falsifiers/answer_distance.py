"""How far two answers of one implementation are apart, where a relation says that they are one."""

from __future__ import annotations

import numpy as np

from harness.dtypes import FORMATS

ENOUGH = 64
"""Elements of an answer to random numbers that are not all equal by chance."""


def distance(got: np.ndarray, want: np.ndarray, dtype: str) -> float:
    """The largest difference; NaN if the two cannot be compared.

    Units: unit round-offs of `dtype`, of the larger of the element of `want` and the root mean square of `want`.
    """
    if got.shape != want.shape or not want.size or not (np.isfinite(got).all() and np.isfinite(want).all()):
        return float("nan")
    wide, fmt = want.astype(np.float64), FORMATS[dtype]
    least = max(float(np.sqrt(np.mean(wide**2))), fmt.min_normal / fmt.unit_roundoff)
    return float(np.max(np.abs(got - wide) / np.maximum(np.abs(wide), least)) / fmt.unit_roundoff)


def differing(got: np.ndarray, want: np.ndarray) -> float:
    """How many ids differ, or how many of the numbers that they name; NaN if the shapes do."""
    return float(np.sum(got != want)) if got.shape == want.shape else float("nan")


def constant(answer: np.ndarray) -> float:
    """1 if the answer has 64 elements or more and all are equal, which every relation allows; else 0."""
    return float(answer.size >= ENOUGH and bool(np.all(answer == answer.flat[0])))
