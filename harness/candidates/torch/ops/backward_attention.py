"""Backward of softmax and attention, written by hand, in float32 or wider."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.candidates.torch._width import widened


def softmax_backward(dout: Tensor, x: Tensor) -> tuple[Tensor]:
    """p * (dout - sum(p * dout)), p = softmax(x) over the last axis. Shapes: all (..., N)."""
    return (_jacobian(widened(dout), torch.softmax(widened(x), dim=-1)).to(x.dtype),)


def attention_backward(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = True,
    scale: float | None = None,
    offset: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities again, then dV = P^T dO, dP = dO V^T, dS = P * (dP - rowsum), dQ = scale dS K, dK = scale dS^T Q.

    The query heads of one key/value head form an axis of their own, over which dK and dV are summed.
    Shapes: dout (B, H, Tq, Dv), q (B, H, Tq, D), k (B, KV, Tk, D), v (B, KV, Tk, Dv) -> as q, k, v.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    grouped, up = (widened(x).unflatten(1, (k.shape[1], -1)) for x in (q, dout))
    keys, values = widened(k), widened(v)
    scores = scale * torch.einsum("bkgtd,bksd->bkgts", grouped, keys)
    if causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(offset + 1)
        scores = scores.masked_fill(hidden, float("-inf"))
    p = torch.softmax(scores, dim=-1)
    ds = scale * _jacobian(torch.einsum("bkgtd,bksd->bkgts", up, values), p)
    dq = torch.einsum("bkgts,bksd->bkgtd", ds, keys).flatten(1, 2)
    dk = torch.einsum("bkgts,bkgtd->bksd", ds, grouped)
    return dq.to(q.dtype), dk.to(k.dtype), torch.einsum("bkgts,bkgtd->bksd", p, up).to(v.dtype)


def _jacobian(dout: Tensor, p: Tensor) -> Tensor:
    return p * (dout - (p * dout).sum(dim=-1, keepdim=True))
