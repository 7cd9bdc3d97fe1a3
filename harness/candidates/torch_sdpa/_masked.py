"""torch's fused attention under a mask that is spelt out."""

from __future__ import annotations

import torch
from torch.nn import functional


def masked(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, visible: torch.Tensor, scale: float | None = None
) -> torch.Tensor:
    """scaled_dot_product_attention with grouped heads under any mask.

    Shapes: visible broadcasts to (B, H, Tq, Tk), True where a key is seen.
    """
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=visible, scale=scale, enable_gqa=True)
