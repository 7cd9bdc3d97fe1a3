"""Draw arrays from a seed."""

from __future__ import annotations

import numpy as np


def normal(seed: int, *shape: int, mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    """float64 of a shape from a normal distribution; the same seed and shape give the same values."""
    return mean + std * np.random.default_rng(seed).standard_normal(shape)
