"""Attention under a mask that is spelt out, and the mask that the options of an attention call mean."""

from __future__ import annotations

import torch

from harness.candidates.torch._width import widened
from harness.candidates.torch.ops.softmax import softmax


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, hidden: torch.Tensor, scale: float) -> torch.Tensor:
    """softmax(scale * q k^T) v; the query heads of one key/value head form an axis of their own.

    Shapes: q (B, H, Tq, D), k (B, KV, Tk, D), v (B, KV, Tk, Dv), hidden (1 or B, Tq, Tk) -> (B, H, Tq, Dv).
    Units:  hidden is True where a key is not seen; a query that sees no key gives 0.
    """
    batch, heads, queries, dim = q.shape
    kv_heads = k.shape[1]
    grouped = widened(q).reshape(batch, kv_heads, heads // kv_heads, queries, dim)
    scores = torch.einsum("bkgtd,bksd->bkgts", grouped, widened(k)) * scale
    scores = scores.masked_fill(hidden[:, None, None], float("-inf"))
    weights = softmax(scores).masked_fill(hidden.all(dim=-1)[:, None, None, :, None], 0)
    out = torch.einsum("bkgts,bksd->bkgtd", weights, widened(v))
    return out.reshape(batch, heads, queries, v.shape[3]).to(q.dtype)


def hidden_keys(
    q: torch.Tensor,
    k: torch.Tensor,
    *,
    causal: bool = True,
    offset: int = 0,
    window: int | None = None,
    padding: torch.Tensor | None = None,
    segments: torch.Tensor | None = None,
) -> torch.Tensor:
    """The keys that a query does not see, by the options of `attention`. Shapes: -> (1 or B, Tq, Tk), bool."""
    queries, keys = q.shape[2], k.shape[2]
    everything = torch.ones(1, queries, keys, dtype=torch.bool, device=q.device)
    hidden = everything.triu(offset + 1) if causal else ~everything
    if window is not None:
        hidden = hidden | everything.tril(offset - window)
    if padding is not None:
        hidden = hidden | (torch.arange(keys, device=q.device) < padding[:, None])[:, None]
    if segments is not None:
        hidden = hidden | (segments[:, offset : offset + queries, None] != segments[:, None])
    return hidden
