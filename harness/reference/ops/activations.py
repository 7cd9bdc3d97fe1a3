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
    # exp gets only non-positive numbers, so it cannot overflow, and the far negative tail does not cancel to 1 - 1.
    # np.where rather than -abs(x), because abs has no complex derivative.
    positive = np.real(x) >= 0
    e = np.exp(np.where(positive, -x, x))
    out = np.where(positive, 1.0, e) / (1.0 + e)
    return out, out


def sigmoid_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dout * out * (1 - out). Shapes: dout as out -> the same."""
    return np.asarray(dout * cache * (1 - cache))


def silu_forward(x: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Multiply x by its logistic sigmoid: x / (1 + exp(-x)); 0 at -inf, its limit.

    Shapes: x any -> out same, cache (x, sigmoid(x)).
    Source: arXiv:1702.03118; torch.nn.functional.silu.
    """
    sigmoid, _ = sigmoid_forward(x)
    return _vanishing(x, sigmoid), (x, sigmoid)


def silu_backward(dout: np.ndarray, cache: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """dx = dout * s * (1 + x * (1 - s)), s = sigmoid(x). Shapes: dout as x -> the same."""
    x, sigmoid = cache
    return np.asarray(dout * sigmoid * (1 + x * (1 - sigmoid)))


def tanh_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hyperbolic tangent.

    Shapes: x any -> out same, cache (out) same.
    Source: torch.tanh.
    """
    out = np.tanh(x)
    return out, out


def tanh_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dout * (1 - out) * (1 + out), which loses fewer digits than 1 - out**2. Shapes: dout as out -> the same."""
    return np.asarray(dout * (1 - cache) * (1 + cache))


def gelu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x * Phi(x), Phi the distribution function of the standard normal; 0 at -inf, its limit.

    Shapes: x any -> out same, cache (x) same.
    Source: arXiv:1606.08415; torch.nn.functional.gelu(approximate="none").
    """
    # Phi is computed with erfc, because 1 + erf(x / sqrt 2) rounds to 0 below -8.3, where Phi is not 0.
    phi = 0.5 * _erfc(-x / math.sqrt(2))
    return _vanishing(x, phi), x


def gelu_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dout * (Phi(x) + x * phi(x)), phi the density of the standard normal. Shapes: dout as x -> the same."""
    x = cache
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return np.asarray(dout * (0.5 * _erfc(-x / math.sqrt(2)) + x * density))


def gelu_tanh_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x / 2 * (1 + tanh(u)) with u = sqrt(2 / pi) * (x + 0.044715 * x**3); 0 at -inf, its limit.

    Shapes: x any -> out same, cache (x) same.
    Source: arXiv:1606.08415 section 2; torch.nn.functional.gelu(approximate="tanh").
    """
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    sigmoid, _ = sigmoid_forward(2 * u)  # equals (1 + tanh u) / 2, without the cancellation
    return _vanishing(x, sigmoid), x


def gelu_tanh_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dout * (s + x * s * (1 - s) * 2 du/dx), s = (1 + tanh u) / 2. Shapes: dout as x -> the same."""
    x = cache
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    above, below = sigmoid_forward(2 * u)[0], sigmoid_forward(-2 * u)[0]
    return np.asarray(dout * (above + x * above * below * 2 * slope))


def relu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """max(x, 0); NaN stays NaN.

    Shapes: x any -> out same, cache (x) same.
    Source: torch.relu.
    """
    return np.maximum(x, 0.0), x


def relu_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dout where x is positive, else 0, also at x = 0, as in torch.relu. Shapes: dout as x -> the same."""
    return np.asarray(np.where(cache > 0, dout, 0.0))


def leaky_relu_forward(x: np.ndarray, slope: float = 0.01) -> tuple[np.ndarray, tuple[np.ndarray, float]]:
    """x where it is positive, slope * x elsewhere.

    Shapes: x any -> out same, cache (x, slope).
    Source: torch.nn.functional.leaky_relu.
    """
    return np.where(x > 0, x, slope * x), (x, slope)


def leaky_relu_backward(dout: np.ndarray, cache: tuple[np.ndarray, float]) -> np.ndarray:
    """dout where x is positive, else slope * dout. Shapes: dout as x -> the same."""
    x, slope = cache
    return np.asarray(np.where(x > 0, dout, slope * dout))


def elu_forward(x: np.ndarray, alpha: float = 1.0) -> tuple[np.ndarray, tuple[np.ndarray, float]]:
    """x where it is positive, alpha * (exp(x) - 1) elsewhere.

    Shapes: x any -> out same, cache (x, alpha).
    Source: arXiv:1511.07289; torch.nn.functional.elu.
    """
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0))), (x, alpha)


def elu_backward(dout: np.ndarray, cache: tuple[np.ndarray, float]) -> np.ndarray:
    """dout where x is positive, else alpha * exp(x) * dout. Shapes: dout as x -> the same."""
    x, alpha = cache
    return np.asarray(dout * np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0.0))))


def swiglu_forward(gate: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, tuple[Any, ...]]:
    """silu(gate) * up.

    Shapes: gate and up any, the same -> out same, cache (gate, up, sigmoid(gate)).
    Raises: ValueError if the shapes differ.
    Source: arXiv:2002.05202; the MLP of Llama and Qwen2 in transformers.
    """
    if gate.shape != up.shape:
        raise ValueError(f"swiglu: found gate {gate.shape} and up {up.shape}, expected equal shapes")
    activated, (_, sigmoid) = silu_forward(gate)
    return activated * up, (gate, up, sigmoid)


def swiglu_backward(dout: np.ndarray, cache: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray]:
    """dgate = dout * up * silu'(gate), dup = dout * silu(gate). Shapes: dout as gate -> both the same."""
    gate, up, sigmoid = cache
    return silu_backward(dout * up, (gate, sigmoid)), np.asarray(dout * _vanishing(gate, sigmoid))


def _vanishing(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """x * factor, but 0 where the factor has underflowed to 0, so that -inf * 0 gives 0 and not NaN."""
    return np.where(factor == 0, 0.0, x * factor)
