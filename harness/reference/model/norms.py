"""A declared norm, and the activations that configs name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.reference.model.declaration import Norm
from harness.reference.model.tensors import Reader
from harness.reference.ops import activations
from harness.reference.ops.norm import layernorm_forward, rmsnorm_forward


def apply_norm(norm: Norm, read: Reader, role: str, x: np.ndarray) -> np.ndarray:
    """Shapes: x (..., C) -> (..., C). Source: `rmsnorm_forward` and `layernorm_forward`."""
    gain = read(f"{role}.weight") if norm.gain else np.ones(x.shape[-1])
    gain = 1 + gain if norm.plus_one else gain
    if norm.kind == "layer":
        return layernorm_forward(x, gain, read(f"{role}.bias"), norm.eps)[0]
    return rmsnorm_forward(x, gain, norm.eps)[0]


def _relu2(x: np.ndarray) -> np.ndarray:
    return activations.relu_forward(x)[0] ** 2


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "silu": lambda x: activations.silu_forward(x)[0],
    "swish": lambda x: activations.silu_forward(x)[0],
    "gelu": lambda x: activations.gelu_forward(x)[0],
    "gelu_tanh": lambda x: activations.gelu_tanh_forward(x)[0],
    "gelu_pytorch_tanh": lambda x: activations.gelu_tanh_forward(x)[0],
    "relu": lambda x: activations.relu_forward(x)[0],
    "relu2": _relu2,
    "identity": lambda x: x,
}
"""Hugging Face's name -> function of one argument."""
