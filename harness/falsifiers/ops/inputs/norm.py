"""Inputs on which a wrong norm shows: random gains, rows whose mean square is near eps."""

from __future__ import annotations

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.norm import l2norm_forward, layernorm_forward, rmsnorm_forward

TINY_RMS = 1e-3
FAINTER = 1 / 32
"""Every second tiny row is smaller still, its mean square far below eps: it is no padding."""
OTHER_EPS = {1e-6: 1e-5}


def rmsnorm(case: Case, variant: int = 0, *, rows: int, hidden: int, eps: float, std: float) -> Call:
    """Rows of standard deviation std, every third one scaled to an RMS of 1e-3, its mean square at eps.

    Variant 1 is other data of the same shape at another eps.
    Shapes: x (rows, hidden), weight (hidden,).
    """
    x = case.array(f"x{variant}", lambda: _rows(case.stream(f"x{variant}"), rows, hidden, std))
    weight = case.normal("weight", (hidden,), mean=1.0, std=0.3)
    return Call((x, weight, OTHER_EPS.get(eps, 1e-6) if variant else eps), rmsnorm_forward)


def layernorm(
    case: Case, variant: int = 0, *, rows: int, hidden: int, eps: float, std: float, shift: float = 1.0
) -> Call:
    """Rows of standard deviation std around shift times it, every third one scaled to 1e-3.

    Variant 1 is other data of the same shape at another eps.
    Shapes: x (rows, hidden), weight (hidden,), bias (hidden,).
    """
    x = case.array(f"x{variant}", lambda: _shifted(case.stream(f"x{variant}"), rows, hidden, std, shift))
    weight = case.normal("weight", (hidden,), mean=1.0, std=0.3)
    bias = case.normal("bias", (hidden,), std=0.5)
    return Call((x, weight, bias, OTHER_EPS.get(eps, 1e-6) if variant else eps), layernorm_forward)


def l2norm(case: Case, variant: int = 0, *, rows: int, hidden: int, eps: float, std: float) -> Call:
    """Rows of standard deviation std, every third one of length 1e-3, its sum of squares near eps.

    Variant 1 is other data of the same shape at another eps.
    Shapes: x (rows, hidden).
    """
    tiny = TINY_RMS / np.sqrt(hidden)
    x = case.array(f"x{variant}", lambda: _rows(case.stream(f"x{variant}"), rows, hidden, std, tiny))
    return Call((x, OTHER_EPS.get(eps, 1e-6) if variant else eps), l2norm_forward)


def _shifted(stream: np.random.Generator, rows: int, hidden: int, std: float, shift: float) -> np.ndarray:
    noise = stream.standard_normal((rows, hidden))
    # The ends stay apart: two or three values that happen to lie close have no variance to speak of,
    # and correct kernels differ on it by any factor.
    noise[:, 0], noise[:, -1] = -1.0, 1.0
    tiny = np.arange(rows) % 3 == 2
    return np.asarray((noise + shift) * np.where(tiny, TINY_RMS, std)[:, None])


def _rows(stream: np.random.Generator, rows: int, hidden: int, std: float, tiny_rms: float = TINY_RMS) -> np.ndarray:
    x = std * stream.standard_normal((rows, hidden))
    tiny = np.arange(rows) % 3 == 2
    x[tiny] *= tiny_rms / np.sqrt(np.mean(x[tiny] ** 2, axis=-1, keepdims=True))
    x[np.arange(rows) % 6 == 5] *= FAINTER
    return x
