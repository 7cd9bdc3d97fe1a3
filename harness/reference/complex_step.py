"""The derivative of an analytic function by one imaginary step: no difference, so no digits are lost."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]
STEP = 1e-30
"""So small that what it adds to the real part, its square, is below every number's last bit."""


def complex_slopes(
    loss: Callable[[dict[str, np.ndarray]], np.ndarray], weights: Arrays, tensor: str, moves: np.ndarray
) -> np.ndarray:
    """d loss / d t at w + t * move = Im loss(w + i h move) / h, for each move of one tensor.

    Every operation of `loss` must be analytic: no abs, no conjugate, and comparisons of real parts only.
    Shapes: moves (P, *shape of the tensor); `loss` takes all weights and returns a number -> (P,).
    Raises: numpy.exceptions.ComplexWarning, as an error, if the loss drops an imaginary part on its way.
    Source: Squire and Trapp, Using complex variables to estimate derivatives of real functions, SIAM Review 40 (1998).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        # A loss that does not read the tensor comes back real: a slope of 0.
        losses = [np.asarray(loss({**weights, tensor: weights[tensor] + 1j * STEP * move})) for move in moves]
    return np.array([float(np.imag(value)) / STEP for value in losses])
