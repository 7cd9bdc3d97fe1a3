"""Low-rank adapters (LoRA) of a linear layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from harness.reference.ops.linear import linear_backward, linear_forward

Adapter = tuple[np.ndarray, np.ndarray, float]
"""(A (r, I), B (O, r), scale)."""


def lora_scale(r: int, lora_alpha: float, use_rslora: bool = False) -> float:
    """lora_alpha / r; with rank stabilisation lora_alpha / sqrt(r).

    Raises: ValueError if r is not a positive whole number or lora_alpha is not finite.
    Source: arXiv:2106.09685, section 4.1; arXiv:2312.03732.
    """
    if isinstance(r, bool) or not isinstance(r, int) or r < 1 or not math.isfinite(lora_alpha):
        raise ValueError(f"lora: found r {r!r} and lora_alpha {lora_alpha!r}, expected r >= 1 and a finite lora_alpha")
    return lora_alpha / math.sqrt(r) if use_rslora else lora_alpha / r


def lora_linear_forward(
    x: np.ndarray, weight: np.ndarray, adapter: Adapter | None = None
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """x weight^T + scale (x A^T) B^T; without an adapter exactly x weight^T.

    Shapes: x (..., I), weight (O, I), A (r, I), B (O, r) -> out (..., O).
    Raises: ValueError naming the shapes if A or B does not fit the weight.
    Source: arXiv:2106.09685, equation 3; peft's lora.Linear without dropout.
    """
    out, plain = linear_forward(x, weight)
    if adapter is None:
        return out, (plain, None)
    A, B, scale = adapter
    _check(weight, A, B)
    down, low = linear_forward(x, A)
    up, high = linear_forward(down, B)
    return out + scale * up, (plain, (low, high, scale))


def lora_linear_backward(
    dout: np.ndarray, cache: tuple[Any, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """dB = scale dout^T (x A^T), dA = scale (dout B)^T x, dx = dout weight + scale (dout B) A.

    Shapes: dout (..., O) -> dx (..., I), dweight (O, I), dA (r, I), dB (O, r); without an adapter dA and dB are None.
    """
    plain, lora = cache
    dx, dweight, _ = linear_backward(dout, plain)
    if lora is None:
        return dx, dweight, None, None
    low, high, scale = lora
    ddown, dB, _ = linear_backward(scale * dout, high)
    extra, dA, _ = linear_backward(ddown, low)
    return dx + extra, dweight, dA, dB


def merge(weight: np.ndarray, adapter: Adapter) -> np.ndarray:
    """weight + scale B A. Shapes: (O, I) -> the same. Raises: ValueError as `lora_linear_forward`."""
    A, B, scale = adapter
    _check(weight, A, B)
    return np.asarray(weight + scale * (B @ A))


def unmerge(weight: np.ndarray, adapter: Adapter) -> np.ndarray:
    """weight - scale B A: undo `merge`, up to rounding."""
    A, B, scale = adapter
    return merge(weight, (A, B, -scale))


def _check(weight: np.ndarray, A: np.ndarray, B: np.ndarray) -> None:
    if A.ndim != 2 or B.ndim != 2 or A.shape[1] != weight.shape[1] or B.shape != (weight.shape[0], A.shape[0]):
        raise ValueError(
            f"lora: found A {A.shape} and B {B.shape} for weight {weight.shape}, "
            f"expected A (r, {weight.shape[1]}) and B ({weight.shape[0]}, r)"
        )
