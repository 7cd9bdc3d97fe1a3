"""Softmax over one axis."""

from __future__ import annotations

from typing import Any

import numpy as np


def softmax_forward(x: np.ndarray, axis: int = -1) -> tuple[np.ndarray, tuple[Any, ...]]:
    """exp(x) / sum(exp(x)) along axis, after subtracting the maximum so that exp cannot overflow.

    Shapes: x any with axis of length >= 1 -> out the same, cache (out, axis).
    Units:  an input of -inf gives 0; a slice that holds only -inf gives NaN, because its maximum is -inf.
    Raises: ValueError if axis does not exist or is empty.
    Source: Goodfellow et al., Deep Learning, section 4.1; as torch.nn.functional.softmax.
    """
    if not -x.ndim <= axis < x.ndim or x.shape[axis] == 0:
        raise ValueError(f"softmax: found x {x.shape} and axis {axis}, expected an axis of length >= 1")
    with np.errstate(invalid="ignore"):
        weights = np.exp(x - np.max(x, axis=axis, keepdims=True))
    out = weights / np.sum(weights, axis=axis, keepdims=True)
    return out, (out, axis)


def softmax_backward(dout: np.ndarray, cache: tuple[Any, ...]) -> np.ndarray:
    """Multiply dout by the softmax Jacobian: dx = out * (dout - sum(out * dout)).

    Shapes: dout as out -> dx the same.
    Source: arXiv:2205.14135, appendix B.2.
    """
    out, axis = cache
    return np.asarray(out * (dout - np.sum(out * dout, axis=axis, keepdims=True)))
