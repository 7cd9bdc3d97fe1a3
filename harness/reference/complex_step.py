"""Complex-step derivatives: one imaginary step and no subtraction, so no digits cancel."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]
STEP = 1e-30
"""The step changes the real part only by its square, 1e-60, which is below the last bit of the result."""


def complex_slopes(
    loss: Callable[[dict[str, np.ndarray]], np.ndarray], weights: Arrays, tensor: str, moves: np.ndarray
) -> np.ndarray:
    """d loss / d t at w + t * move, t = 0, by Im loss(w + i h move) / h, for each move of one tensor.

    Every operation of `loss` must be analytic: no abs, no conjugate; it may compare real parts only.
    Shapes: moves (P, *shape of the tensor); `loss` takes all weights and returns a number -> (P,).
    Raises: numpy.exceptions.ComplexWarning, as an error, if the loss discards an imaginary part.
    Source: Squire and Trapp, Using complex variables to estimate derivatives of real functions, SIAM Review 40 (1998).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        # If the loss does not read the tensor, it returns a real number, whose slope is 0.
        losses = [np.asarray(loss({**weights, tensor: weights[tensor] + 1j * STEP * move})) for move in moves]
    return np.array([float(np.imag(value)) / STEP for value in losses])
