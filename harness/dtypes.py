"""Floating-point formats by name: unit round-off, range, and rounding of NumPy arrays.

NumPy has no bfloat16; a bfloat16 array is a float32 array that holds bfloat16 values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Format:
    """One floating-point format: stored mantissa bits, range, and the NumPy dtype that holds its values."""

    name: str
    mantissa: int
    max: float
    min_normal: float
    carrier: np.dtype
    lower_mantissa: int
    """Mantissa bits of the built-in mutant that every claim gets, which rounds to a lower precision."""

    @property
    def unit_roundoff(self) -> float:
        return float(2.0 ** -(self.mantissa + 1))


FORMATS = {
    "float64": Format("float64", 52, float(np.finfo(np.float64).max), 2.0**-1022, np.dtype("f8"), 23),
    "float32": Format("float32", 23, float(np.finfo(np.float32).max), 2.0**-126, np.dtype("f4"), 7),
    "float16": Format("float16", 10, 65504.0, 2.0**-14, np.dtype("f2"), 5),
    "bfloat16": Format("bfloat16", 7, 3.3895313892515355e38, 2.0**-126, np.dtype("f4"), 3),
}


class AsStored(np.ndarray):
    """A view of an array that reaches the subject in its own dtype, whatever the run's: a tensor before loading."""


def round_to(values: np.ndarray, dtype: str) -> np.ndarray:
    """Round floating values to `dtype` (nearest, ties to even); other kinds pass unchanged.

    Shapes: any -> same, in the format's carrier type.
    """
    values = np.asarray(values)
    if values.dtype.kind != "f":
        return values
    with np.errstate(over="ignore"):
        carried = values.astype(FORMATS[dtype].carrier)
    return _round_bfloat16(values) if dtype == "bfloat16" else carried


def _round_bfloat16(values: np.ndarray) -> np.ndarray:
    # Round float64 directly: rounding to float32 first could round twice near a tie.
    fmt = FORMATS["bfloat16"]
    wide = values.astype(np.float64)
    quantum = fmt.min_normal * 2.0**-fmt.mantissa
    with np.errstate(over="ignore", invalid="ignore"):
        small = np.rint(wide / quantum) * quantum
        rounded = np.where(np.abs(wide) < fmt.min_normal, small, round_mantissa(wide, fmt.mantissa))
        return np.where(np.abs(rounded) > fmt.max, np.copysign(np.inf, rounded), rounded).astype(np.float32)


def round_mantissa(values: np.ndarray, bits: int) -> np.ndarray:
    """Round to `bits` stored mantissa bits, ties to even, keeping the exponent range.

    Shapes: any -> same, float64.
    """
    values = np.asarray(values, dtype=np.float64)
    raw = np.ascontiguousarray(values).view(np.uint64)
    drop = np.uint64(52 - bits)
    if bits >= 52:
        return values.copy()
    one = np.uint64(1)
    half = (one << (drop - one)) - one
    rounded = (raw + half + ((raw >> drop) & one)) >> drop << drop
    return np.where(np.isfinite(values), rounded.view(np.float64).reshape(values.shape), values)
