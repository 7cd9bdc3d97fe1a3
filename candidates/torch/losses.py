"""The loss in eager torch, CPU or CUDA: 16-bit logits are computed in float32, float64 stays float64."""

from __future__ import annotations

import torch

ARRAYS = "torch"


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor, ignore_index: int = -100) -> torch.Tensor:
    """Mean over the counted tokens of how far the label's logit lies below log-sum-exp.

    Shapes: logits (..., V), targets (...) -> (). Units: nats; NaN when no token counts.
    """
    counted = targets != ignore_index
    kept = logits[counted]
    wide = kept if kept.dtype == torch.float64 else kept.float()
    shifted = wide - wide.amax(dim=-1, keepdim=True)
    picked = shifted.gather(-1, targets[counted][:, None])[:, 0]
    return (shifted.exp().sum(dim=-1).log() - picked).mean().to(logits.dtype)
