"""torch's fused kernels on CPU or CUDA, in the dtype of their inputs."""

from __future__ import annotations

import torch
from torch.nn import functional

from harness.candidates.torch_sdpa._masked import masked

ARRAYS = "torch"


def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """torch.nn.functional.rms_norm over the last axis.

    Shapes: x (..., C), weight (C,) -> (..., C).
    """
    return functional.rms_norm(x, (x.shape[-1],), weight, eps)


def softmax(x: torch.Tensor, axis: int = -1) -> torch.Tensor:
    """torch.nn.functional.softmax along axis. Shapes: x any -> the same."""
    return functional.softmax(x, dim=axis)


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
    """torch.nn.functional.scaled_dot_product_attention with grouped heads and an explicit mask.

    Shapes: q (B, H, Tq, D), k (B, KV, Tk, D), v (B, KV, Tk, Dv), padding (B,), segments (B, Tk) -> (B, H, Tq, Dv).
    Units:  query t, at p = t + offset, sees keys j <= p, with window the last `window` of them; the first padding[b]
            keys of row b, and keys of another segment, are hidden; scale defaults to 1/sqrt(D).
            A query that sees no key gives 0.
    """
    slots = torch.arange(k.shape[2], device=q.device)
    at = torch.arange(offset, offset + q.shape[2], device=q.device)
    visible = slots <= at[:, None] if causal else torch.ones_like(slots, dtype=torch.bool).expand(q.shape[2], -1)
    if window is not None:
        visible = visible & (slots > at[:, None] - window)
    visible = visible.expand(q.shape[0], 1, -1, -1)
    if padding is not None:
        visible = visible & (slots >= padding[:, None])[:, None, None]
    if segments is not None:
        visible = visible & (segments[:, at, None] == segments[:, None])[:, None]
    return masked(q, k, v, visible, scale).masked_fill(~visible.any(dim=-1, keepdim=True), 0)
