"""The number type the reference computes in."""

from __future__ import annotations

from typing import Any

import numpy as np


def wide(values: Any) -> np.ndarray:
    """float64; complex numbers stay complex128, so that a derivative can be read off an imaginary step.

    Shapes: any -> same.
    Source: complex step, Squire and Trapp, SIAM Review 40 (1998), 110-112.
    """
    values = np.asarray(values)
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64, copy=False)
