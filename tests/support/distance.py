"""Measure the distance between two arrays."""

from __future__ import annotations

from typing import Any

import numpy as np


def rel_l2(got: Any, want: Any) -> float:
    """Relative L2 error ||got - want|| / ||want||; the shapes must be equal, or broadcasting would hide a mistake."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, (got.shape, want.shape)
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))
