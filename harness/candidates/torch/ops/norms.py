"""LayerNorm and L2 normalisation in plain eager torch: 16-bit inputs are computed in float32."""

from __future__ import annotations

import torch

from harness.candidates.torch._width import widened

ARRAYS = "torch"


def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis, the variance of x - mean.

    Shapes: x (..., C), weight (C,), bias (C,) -> (..., C).
    """
    wide = widened(x)
    centred = wide - wide.mean(dim=-1, keepdim=True)
    normalised = centred * torch.rsqrt(centred.square().mean(dim=-1, keepdim=True) + eps)
    return (normalised * widened(weight) + widened(bias)).to(x.dtype)


def l2norm(x: torch.Tensor, eps: float) -> torch.Tensor:
    """x / sqrt(sum(x**2) + eps) over the last axis.

    Shapes: x (..., C) -> (..., C).
    """
    wide = widened(x)
    return (wide / torch.sqrt(wide.square().sum(dim=-1, keepdim=True) + eps)).to(x.dtype)
