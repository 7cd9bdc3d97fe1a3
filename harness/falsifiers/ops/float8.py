"""Falsifier of 8-bit floating-point numbers: what each number becomes, and what each byte stands for."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.dtypes import FORMATS as DTYPES
from harness.observation import Observation
from harness.reference.ops.float8 import FORMATS, from_float8, to_float8

MEASURES = {"not_nan": "number of NaN that became a number, on the way to bytes and back"}


def rounded(subject: Any, case: Case, *, kind: str, rows: int, columns: int, values: str) -> Observation:
    """Numbers to bytes, and all 256 bytes to numbers.

    Shapes: x (rows, columns) -> bytes (rows, columns); numbers (256,).
    Units:  kind is e4m3fn or e5m2. values are `normal` (of standard deviation 1), `ties` (the middle between two
            neighbours of the format, and numbers of the dtype one or two units in the last place beside it), or
            `small` (below the least normal number). Magnitudes end at the format's largest number.
    """
    x = case.array("x", lambda: _values(case, (rows, columns), kind, values))
    every = np.arange(256, dtype=np.uint8)
    numbers = from_float8(every, kind)
    lost = np.isnan(numbers)
    got = np.asarray(subject.from_float8(every, kind), np.float32)
    nan_bytes = np.asarray(subject.to_float8(np.full(3, np.nan, x.dtype), kind))
    return Observation(
        bytes=(subject.to_float8(x, kind), case.once(to_float8, x, kind)),
        # As bytes, so that -0.0 is not taken for 0.0.
        numbers=(got[~lost].view(np.uint8), numbers[~lost].view(np.uint8)),
        not_nan=int((~np.isnan(got[lost])).sum() + (~np.isnan(from_float8(nan_bytes, kind))).sum()),
    )


def _values(case: Case, shape: tuple[int, int], kind: str, values: str) -> np.ndarray:
    form = FORMATS[kind]
    stream = case.stream("values")
    if values == "normal":
        return stream.standard_normal(shape)
    if values == "small":
        return stream.standard_normal(shape) * 2.0 ** (1 - form.bias)
    codes = np.arange(128, dtype=np.uint8)
    numbers = from_float8(codes, kind).astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    middle = stream.choice((finite[1:] + finite[:-1]) / 2, shape)
    # One or two units in the last place of the case's dtype: a conversion that drops bits first takes them for ties.
    beside = 1 + stream.integers(-1, 2, shape) * 2.0 ** -DTYPES[case.dtype].mantissa
    return np.asarray(middle * beside * stream.choice([-1.0, 1.0], shape))
