"""Root-mean-square normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np


def rmsnorm_forward(x: np.ndarray, weight: np.ndarray, eps: float = 1e-6) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Divide each row of x by its root mean square, then scale by weight.

    Shapes: x (..., C), weight (C,) -> out (..., C), cache (x, weight, 1/rms (..., 1)).
    Units:  eps is added to mean(x**2), inside the square root.
    Raises: ValueError if weight is not (C,).
    Source: arXiv:1910.07467; eps placement as torch.nn.RMSNorm.
    """
    if x.ndim == 0 or weight.shape != x.shape[-1:]:
        raise ValueError(f"rmsnorm: found weight {weight.shape} for x {x.shape}, expected weight {x.shape[-1:]}")
    inverse_rms = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)
    return x * inverse_rms * weight, (x, weight, inverse_rms)
