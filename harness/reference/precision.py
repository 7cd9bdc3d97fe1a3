"""The floating-point type in which the reference computes."""

from __future__ import annotations

from typing import Any

import numpy as np


def wide(values: Any) -> np.ndarray:
    """Convert to float64; complex input becomes complex128, so that complex-step derivatives work.

    Shapes: any -> same.
    Source: complex step, Squire and Trapp, SIAM Review 40 (1998), 110-112.
    """
    values = np.asarray(values)
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64, copy=False)
