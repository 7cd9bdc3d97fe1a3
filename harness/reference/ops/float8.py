"""The two 8-bit floating-point formats of OCP: e4m3fn and e5m2, to bytes and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Format(NamedTuple):
    """How a byte is divided; `largest` is the greatest finite number."""

    mantissa: int
    bias: int
    largest: float
    nan: int


FORMATS = {"e4m3fn": Format(3, 7, 448.0, 0x7F), "e5m2": Format(2, 15, 57344.0, 0x7E)}


def to_float8(x: np.ndarray, kind: str) -> np.ndarray:
    """The bytes of the nearest numbers of the format; of two equally near, the one whose last bit is 0.

    Shapes: x any -> uint8, the same.
    Units:  kind is e4m3fn or e5m2.
    Raises: ValueError for an unknown kind, or a magnitude above the largest number: formats and kernels differ there.
    Source: OCP 8-bit Floating Point Specification 1.0, arXiv:2209.05433; ml_dtypes.
    """
    form = _form(kind)
    size = np.abs(np.asarray(x, np.float64))
    if (size > form.largest).any():
        raise ValueError(f"to_float8: found {size.max()} for {kind}, expected magnitudes up to {form.largest:g}")
    least = 1 - form.bias
    _, above = np.frexp(size)
    exponent = np.maximum(np.where(size > 0, above - 1, least), least)
    # np.rint takes halves to even, and the steps of a magnitude below the least normal number are those of the least.
    steps = np.rint(np.ldexp(np.nan_to_num(size), form.mantissa - exponent)).astype(np.int64)
    code = ((exponent - least) << form.mantissa) + steps
    code = np.where(np.isnan(size), form.nan, code)
    return (code + 128 * np.signbit(x)).astype(np.uint8)


def from_float8(data: np.ndarray, kind: str) -> np.ndarray:
    """The numbers that bytes stand for. Shapes: uint8 any -> float32, the same. Raises: ValueError as to_float8."""
    form = _form(kind)
    code = data.astype(np.int64) & 127
    exponent, fraction = code >> form.mantissa, code & ((1 << form.mantissa) - 1)
    whole = np.where(exponent > 0, fraction + (1 << form.mantissa), fraction)
    size = np.ldexp(whole.astype(np.float64), np.maximum(exponent, 1) - form.bias - form.mantissa)
    if kind == "e5m2":
        size = np.where(exponent == 31, np.where(fraction == 0, np.inf, np.nan), size)
    else:
        size = np.where(code == form.nan, np.nan, size)
    return np.copysign(size, np.where(data > 127, -1.0, 1.0)).astype(np.float32)


def _form(kind: str) -> Format:
    if kind not in FORMATS:
        raise ValueError(f"to_float8: found kind {kind!r}, expected one of {', '.join(FORMATS)}")
    return FORMATS[kind]
