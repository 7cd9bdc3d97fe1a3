"""Normalisation of rows: RMSNorm, LayerNorm and the L2 norm."""

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


def rmsnorm_backward(dout: np.ndarray, cache: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray]:
    """With n = x / rms and dn = dout * weight: dx = (dn - n * mean(n * dn)) / rms; dweight = sum of dout * n over rows.

    The formula does not divide by weight, so an element with gain 0 has a gradient too.
    Shapes: dout (..., C) -> dx (..., C), dweight (C,).
    Source: arXiv:1910.07467, section 3; torch.nn.functional.rms_norm under autograd.
    """
    x, weight, inverse_rms = cache
    normalised = x * inverse_rms
    dnormalised = dout * weight
    projection = np.mean(normalised * dnormalised, axis=-1, keepdims=True)
    dweight = (dout * normalised).reshape(-1, weight.size).sum(axis=0)
    return inverse_rms * (dnormalised - normalised * projection), dweight


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


def layernorm_backward(dout: np.ndarray, cache: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """With n the normalised x and dn = dout * weight: dx = (dn - mean(dn) - n * mean(n * dn)) / std.

    Shapes: dout (..., C) -> dx (..., C), dweight (C,) = sum of dout * n, dbias (C,) = sum of dout.
    Source: arXiv:1607.06450; karpathy/llm.c, doc/layernorm.
    """
    normalised, weight, inverse_std = cache
    dnormalised = dout * weight
    mean = np.mean(dnormalised, axis=-1, keepdims=True)
    projection = np.mean(normalised * dnormalised, axis=-1, keepdims=True)
    dweight = (dout * normalised).reshape(-1, weight.size).sum(axis=0)
    dbias = dout.reshape(-1, weight.size).sum(axis=0)
    return inverse_std * (dnormalised - mean - normalised * projection), dweight, dbias


def l2norm_forward(x: np.ndarray, eps: float = 1e-6) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Divide each row of x by its Euclidean length.

    Shapes: x (..., C) -> out (..., C), cache (out, 1/length (..., 1)).
    Units:  eps is added to sum(x**2), inside the square root; torch.nn.functional.normalize instead
            divides by max(length, eps).
    Raises: ValueError if x has no axis.
    Source: l2norm in transformers' modeling_qwen3_next and in flash-linear-attention.
    """
    if x.ndim == 0:
        raise ValueError("l2norm: found a scalar, expected x (..., C)")
    inverse_length = 1 / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + eps)
    out = x * inverse_length
    return out, (out, inverse_length)


def l2norm_backward(dout: np.ndarray, cache: tuple[Any, ...]) -> np.ndarray:
    """dx = (dout - out * sum(out * dout)) / length.

    Shapes: dout (..., C) -> dx (..., C).
    """
    out, inverse_length = cache
    return np.asarray(inverse_length * (dout - out * np.sum(out * dout, axis=-1, keepdims=True)))
