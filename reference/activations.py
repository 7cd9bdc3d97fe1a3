"""Elementwise activations in float64."""

from __future__ import annotations

import numpy as np


def silu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Multiply x by its logistic sigmoid: x / (1 + exp(-x)).

    Shapes: x any -> out same, cache (sigmoid(x), for the backward pass) same.
    Source: arXiv:1702.03118; torch.nn.functional.silu.
    """
    # Only exp of a non-positive number: no overflow, and no 1 - 1 in the far negative tail.
    e = np.exp(-np.abs(x))
    sigmoid = np.where(x >= 0, 1.0, e) / (1.0 + e)
    return x * sigmoid, sigmoid
