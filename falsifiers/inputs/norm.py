"""Inputs on which a wrong norm shows: random gains, rows whose mean square is near eps."""

from __future__ import annotations

import numpy as np

from falsifiers.inputs.call import Call
from harness.case import Case
from reference.norm import rmsnorm_forward

TINY_RMS = 1e-3
OTHER_EPS = {1e-6: 1e-5}


def rmsnorm(case: Case, variant: int = 0, *, rows: int, hidden: int, eps: float, std: float) -> Call:
    """Rows of standard deviation std, every third one scaled to an RMS of 1e-3, its mean square at eps.

    Variant 1 is other data of the same shape at another eps.
    Shapes: x (rows, hidden), weight (hidden,).
    """
    x = case.array(f"x{variant}", lambda: _rows(case.stream(f"x{variant}"), rows, hidden, std))
    weight = case.normal("weight", (hidden,), mean=1.0, std=0.3)
    return Call((x, weight, OTHER_EPS.get(eps, 1e-6) if variant else eps), rmsnorm_forward)


def _rows(stream: np.random.Generator, rows: int, hidden: int, std: float) -> np.ndarray:
    x = std * stream.standard_normal((rows, hidden))
    tiny = np.arange(rows) % 3 == 2
    x[tiny] *= TINY_RMS / np.sqrt(np.mean(x[tiny] ** 2, axis=-1, keepdims=True))
    return x
