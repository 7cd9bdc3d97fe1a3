"""Ops of torch.nn.functional, as PyTorch's authors wrote them, under the names that claims use."""

from __future__ import annotations

import torch
import torch.nn.functional as F

ARRAYS = "torch"


def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """torch.nn.functional.rms_norm over the last axis."""
    return F.rms_norm(x, weight.shape, weight, eps)


def softmax(x: torch.Tensor) -> torch.Tensor:
    """torch.nn.functional.softmax over the last axis."""
    return F.softmax(x, dim=-1)


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    causal: bool = True,
    scale: float | None = None,
    offset: int = 0,
) -> torch.Tensor:
    """torch.nn.functional.scaled_dot_product_attention with grouped heads.

    The mask is written out: torch's is_causal aligns it top-left when Tq != Tk.
    Shapes: q (B, H, Tq, D), k and v (B, KV, Tk, D) -> (B, H, Tq, D).
    """
    mask = None
    if causal:
        queries = torch.arange(q.shape[2], device=q.device)
        mask = torch.arange(k.shape[2], device=q.device) <= queries[:, None] + offset
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=True)
