"""Plain eager torch, CPU or CUDA: 16-bit inputs are computed in float32, float64 stays float64."""

from __future__ import annotations

import torch

from harness.candidates.torch._width import widened
from harness.candidates.torch.ops._masked import attend, hidden_keys

ARRAYS = "torch"


def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """x / sqrt(mean(x**2) + eps) * weight over the last axis, rounded once, at the end.

    Shapes: x (..., C), weight (C,) -> (..., C).
    """
    wide = widened(x)
    return (wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + eps) * widened(weight)).to(x.dtype)


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    causal: bool = True,
    scale: float | None = None,
    offset: int = 0,
    window: int | None = None,
    padding: torch.Tensor | None = None,
    segments: torch.Tensor | None = None,
) -> torch.Tensor:
    """softmax(scale * q k^T) v; the query heads of one key/value head form an axis of their own.

    Shapes: q (B, H, Tq, D), k (B, KV, Tk, D), v (B, KV, Tk, Dv), padding (B,), segments (B, Tk) -> (B, H, Tq, Dv).
    Units:  query t, at p = t + offset, sees keys j <= p, with window the last `window` of them; the first padding[b]
            keys of row b are never seen, nor keys of another segment; scale defaults to 1/sqrt(D).
            A query that sees no key gives 0.
    """
    hidden = hidden_keys(q, k, causal=causal, offset=offset, window=window, padding=padding, segments=segments)
    return attend(q, k, v, hidden, q.shape[3] ** -0.5 if scale is None else scale)
