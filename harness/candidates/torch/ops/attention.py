"""Plain eager torch, CPU or CUDA: 16-bit inputs are computed in float32, float64 stays float64."""

from __future__ import annotations

import torch

from harness.candidates.torch._width import widened

ARRAYS = "torch"


def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """x / sqrt(mean(x**2) + eps) * weight over the last axis, rounded once, at the end.

    Shapes: x (..., C), weight (C,) -> (..., C).
    """
    wide = widened(x)
    return (wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + eps) * widened(weight)).to(x.dtype)


def softmax(x: torch.Tensor, axis: int = -1) -> torch.Tensor:
    """exp(x - max) / sum, along axis.

    Shapes: x any -> the same.
    """
    wide = widened(x)
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
    batch, heads, queries, dim = q.shape
    kv_heads, keys = k.shape[1], k.shape[2]
    grouped = widened(q).reshape(batch, kv_heads, heads // kv_heads, queries, dim)
    scores = torch.einsum("bkgtd,bksd->bkgts", grouped, widened(k)) * (dim**-0.5 if scale is None else scale)
    hidden = _hidden(queries, keys, causal, offset, window, q.device)
    if padding is not None:
        hidden = hidden | (torch.arange(keys, device=q.device) < padding[:, None])[:, None]
    if segments is not None:
        hidden = hidden | (segments[:, offset : offset + queries, None] != segments[:, None])
    scores = scores.masked_fill(hidden[:, None, None], float("-inf"))
    weights = softmax(scores).masked_fill(hidden.all(dim=-1)[:, None, None, :, None], 0)
    out = torch.einsum("bkgts,bksd->bkgtd", weights, widened(v))
    return out.reshape(batch, heads, queries, v.shape[3]).to(q.dtype)


def _hidden(
    queries: int, keys: int, causal: bool, offset: int, window: int | None, device: torch.device
) -> torch.Tensor:
    """Keys out of sight in every row of the batch. Shapes: -> (1, queries, keys), bool."""
    everything = torch.ones(1, queries, keys, dtype=torch.bool, device=device)
    hidden = everything.triu(offset + 1) if causal else ~everything
    return hidden if window is None else hidden | everything.tril(offset - window)
