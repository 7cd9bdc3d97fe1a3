"""Elementwise activations in plain eager torch: 16-bit inputs are computed in float32, rounded once."""

from __future__ import annotations

import math

import torch

from harness.candidates.torch._width import widened

ARRAYS = "torch"


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """1 / (1 + exp(-x)). Shapes: x any -> the same."""
    return _sigmoid(widened(x)).to(x.dtype)


def silu(x: torch.Tensor) -> torch.Tensor:
    """x * sigmoid(x). Shapes: x any -> the same."""
    wide = widened(x)
    return (wide * _sigmoid(wide)).to(x.dtype)


def tanh(x: torch.Tensor) -> torch.Tensor:
    """Hyperbolic tangent, by expm1 of -2|x|: exact near 0, no overflow. Shapes: x any -> the same."""
    wide = widened(x)
    e = torch.expm1(-2 * _size(wide))
    size = -e / (e + 2)
    return torch.where(wide < 0, -size, size).to(x.dtype)


def gelu(x: torch.Tensor) -> torch.Tensor:
    """x / 2 * erfc(-x / sqrt 2), which keeps the far negative tail. Shapes: x any -> the same."""
    wide = widened(x)
    return (wide * (0.5 * torch.special.erfc(wide * -math.sqrt(0.5)))).to(x.dtype)


def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x**3))), as a sigmoid. Shapes: x any -> the same."""
    wide = widened(x)
    return (wide * _sigmoid(wide * (1 + 0.044715 * wide.square()) * math.sqrt(8 / math.pi))).to(x.dtype)


def relu(x: torch.Tensor) -> torch.Tensor:
    """max(x, 0), NaN kept; its slope at 0 is 0, where clamp's is 1. Shapes: x any -> the same."""
    return x.masked_fill(x <= 0, 0)


def leaky_relu(x: torch.Tensor, slope: float) -> torch.Tensor:
    """max(x, 0) + slope * min(x, 0). Shapes: x any -> the same."""
    wide = widened(x)
    return torch.where(wide > 0, wide, slope * wide).to(x.dtype)


def elu(x: torch.Tensor, alpha: float) -> torch.Tensor:
    """max(x, 0) + alpha * (exp(min(x, 0)) - 1). Shapes: x any -> the same."""
    wide = widened(x)
    return torch.where(wide > 0, wide, alpha * torch.expm1(wide.clamp(max=0))).to(x.dtype)


def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up. Shapes: gate and up any, the same -> the same."""
    wide = widened(gate)
    return (wide * _sigmoid(wide) * widened(up)).to(gate.dtype)


def _sigmoid(x: torch.Tensor) -> torch.Tensor:
    e = torch.exp(-_size(x))
    return torch.where(x >= 0, torch.ones_like(e), e) / (1 + e)


def _size(x: torch.Tensor) -> torch.Tensor:
    """|x| with slope 1 at 0: autograd's slope of abs is 0 there, and so would be that of everything built on it."""
    return torch.where(x < 0, -x, x)
