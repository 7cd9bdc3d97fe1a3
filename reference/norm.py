"""Normalisation of rows: root mean square, mean and variance, Euclidean length."""

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


def layernorm_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Subtract each row's mean, divide by its standard deviation, then scale by weight and add bias.

    Shapes: x (..., C), weight (C,), bias (C,) -> out (..., C), cache (normalised x, weight, 1/std (..., 1)).
    Units:  the variance is the mean of squares (divided by C, not C - 1); eps is added to it, inside the root.
    Raises: ValueError if weight or bias is not (C,).
    Source: arXiv:1607.06450; torch.nn.functional.layer_norm.
    """
    if x.ndim == 0 or weight.shape != x.shape[-1:] or bias.shape != x.shape[-1:]:
        raise ValueError(
            f"layernorm: found weight {weight.shape} and bias {bias.shape} for x {x.shape}, expected {x.shape[-1:]}"
        )
    centred = x - np.mean(x, axis=-1, keepdims=True)
    inverse_std = 1 / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + eps)
    normalised = centred * inverse_std
    return normalised * weight + bias, (normalised, weight, inverse_std)


def l2norm_forward(x: np.ndarray, eps: float = 1e-6) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Divide each row of x by its Euclidean length.

    Shapes: x (..., C) -> out (..., C), cache (out, 1/length (..., 1)).
    Units:  eps is added to sum(x**2), inside the square root: not torch.nn.functional.normalize,
            which divides by max(length, eps).
    Raises: ValueError if x has no axis.
    Source: l2norm in transformers' modeling_qwen3_next and in flash-linear-attention.
    """
    if x.ndim == 0:
        raise ValueError("l2norm: found a scalar, expected x (..., C)")
    inverse_length = 1 / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + eps)
    out = x * inverse_length
    return out, (out, inverse_length)
