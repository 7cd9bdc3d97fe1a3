"""Elementwise activations in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def sigmoid_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 / (1 + exp(-x)).

    Shapes: x any -> out same, cache (out) same.
    Source: torch.sigmoid.
    """
    # Only exp of a non-positive number: no overflow, and no 1 - 1 in the far negative tail.
    e = np.exp(-np.abs(x))
    out = np.where(x >= 0, 1.0, e) / (1.0 + e)
    return out, out


def silu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Multiply x by its logistic sigmoid: x / (1 + exp(-x)); 0 at -inf, its limit.

    Shapes: x any -> out same, cache (sigmoid(x), for the backward pass) same.
    Source: arXiv:1702.03118; torch.nn.functional.silu.
    """
    sigmoid, _ = sigmoid_forward(x)
    return _vanishing(x, sigmoid), sigmoid


def tanh_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hyperbolic tangent.

    Shapes: x any -> out same, cache (out) same.
    Source: torch.tanh.
    """
    out = np.tanh(x)
    return out, out


def gelu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x * Phi(x), Phi the distribution function of the standard normal; 0 at -inf, its limit.

    Shapes: x any -> out same, cache (x) same.
    Source: arXiv:1606.08415; torch.nn.functional.gelu(approximate="none").
    """
    # Phi by erfc: 1 + erf(x / sqrt 2) is 0 below -8.3, where Phi is not.
    phi = 0.5 * _erfc(-x / math.sqrt(2))
    return _vanishing(x, phi), x


def gelu_tanh_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x / 2 * (1 + tanh(u)) with u = sqrt(2 / pi) * (x + 0.044715 * x**3); 0 at -inf, its limit.

    Shapes: x any -> out same, cache (x) same.
    Source: arXiv:1606.08415 section 2; torch.nn.functional.gelu(approximate="tanh").
    """
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    sigmoid, _ = sigmoid_forward(2 * u)  # (1 + tanh u) / 2 without its cancellation
    return _vanishing(x, sigmoid), x


def relu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """max(x, 0); NaN stays NaN.

    Shapes: x any -> out same, cache (x) same.
    Source: torch.relu.
    """
    return np.maximum(x, 0.0), x


def leaky_relu_forward(x: np.ndarray, slope: float = 0.01) -> tuple[np.ndarray, tuple[np.ndarray, float]]:
    """x where it is positive, slope * x elsewhere.

    Shapes: x any -> out same, cache (x, slope).
    Source: torch.nn.functional.leaky_relu.
    """
    return np.where(x > 0, x, slope * x), (x, slope)


def elu_forward(x: np.ndarray, alpha: float = 1.0) -> tuple[np.ndarray, tuple[np.ndarray, float]]:
    """x where it is positive, alpha * (exp(x) - 1) elsewhere.

    Shapes: x any -> out same, cache (x, alpha).
    Source: arXiv:1511.07289; torch.nn.functional.elu.
    """
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0))), (x, alpha)


def swiglu_forward(gate: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, tuple[Any, ...]]:
    """silu(gate) * up.

    Shapes: gate and up any, the same -> out same, cache (gate, up, sigmoid(gate)).
    Raises: ValueError if the shapes differ.
    Source: arXiv:2002.05202; the MLP of Llama and Qwen2 in transformers.
    """
    if gate.shape != up.shape:
        raise ValueError(f"swiglu: found gate {gate.shape} and up {up.shape}, expected equal shapes")
    activated, sigmoid = silu_forward(gate)
    return activated * up, (gate, up, sigmoid)


def _vanishing(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """x * factor, 0 where the factor has underflowed: at -inf the factor wins."""
    return np.where(factor == 0, 0.0, x * factor)
