"""Plain eager torch, CPU or CUDA: 16-bit inputs are computed in float32, float64 stays float64."""

from __future__ import annotations

import torch

ARRAYS = "torch"


def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """x / sqrt(mean(x**2) + eps) * weight over the last axis, rounded once, at the end.

    Shapes: x (..., C), weight (C,) -> (..., C).
    """
    wide = _wide(x)
    return (wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + eps) * _wide(weight)).to(x.dtype)


def softmax(x: torch.Tensor, axis: int = -1) -> torch.Tensor:
    """exp(x - max) / sum, along axis.

    Shapes: x any -> the same.
    """
    wide = _wide(x)
    weights = torch.exp(wide - wide.amax(dim=axis, keepdim=True))
    return (weights / weights.sum(dim=axis, keepdim=True)).to(x.dtype)


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    causal: bool = True,
    scale: float | None = None,
    offset: int = 0,
) -> torch.Tensor:
    """softmax(scale * q k^T) v; the query heads of one key/value head form an axis of their own.

    Shapes: q (B, H, Tq, D), k (B, KV, Tk, D), v (B, KV, Tk, Dv) -> (B, H, Tq, Dv).
    Units:  query t sees keys j <= t + offset; scale defaults to 1/sqrt(D).
    """
    batch, heads, queries, dim = q.shape
    kv_heads, keys = k.shape[1], k.shape[2]
    grouped = _wide(q).reshape(batch, kv_heads, heads // kv_heads, queries, dim)
    scores = torch.einsum("bkgtd,bksd->bkgts", grouped, _wide(k)) * (dim**-0.5 if scale is None else scale)
    if causal:
        hidden = torch.ones(queries, keys, dtype=torch.bool, device=q.device).triu(offset + 1)
        scores = scores.masked_fill(hidden, float("-inf"))
    out = torch.einsum("bkgts,bksd->bkgtd", softmax(scores), _wide(v))
    return out.reshape(batch, heads, queries, v.shape[3]).to(q.dtype)


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype == torch.float64 else x.float()
