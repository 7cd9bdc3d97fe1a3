"""Clip gradients by their global norm."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

SLACK = 1e-6
"""torch.nn.utils.clip_grad_norm_ adds this to the norm, so that a zero gradient does not divide by zero."""


def global_norm(grads: Mapping[str, np.ndarray]) -> float:
    """Root of the sum of squares over every element of every tensor."""
    largest = max((float(np.abs(g).max(initial=0.0)) for g in grads.values()), default=0.0)
    if not 0 < largest < np.inf:
        return largest
    # Divided by the largest before squaring, because 1e200 squared is inf.
    return largest * float(np.sqrt(sum(float(np.sum(np.square(g / largest))) for g in grads.values())))


def clip_gradients(grads: Mapping[str, np.ndarray], max_norm: float) -> tuple[dict[str, np.ndarray], float]:
    """Multiply all gradients by min(1, max_norm / (norm + 1e-6)), with one norm over all of them.

    Shapes: grads {name: any} -> (grads of the same shapes, norm).
    Units:  the returned norm is the one before clipping.
    Raises: ValueError if max_norm is not above 0, or the norm is not finite.
    Source: arXiv:1211.5063; torch.nn.utils.clip_grad_norm_.
    """
    if not max_norm > 0:
        raise ValueError(f"clip: found max_norm {max_norm}, expected a number above 0")
    norm = global_norm(grads)
    if not np.isfinite(norm):
        raise ValueError(f"clip: found a gradient norm of {norm}, expected a finite number")
    factor = min(1.0, max_norm / (norm + SLACK))
    return {name: g * factor for name, g in grads.items()}, norm
