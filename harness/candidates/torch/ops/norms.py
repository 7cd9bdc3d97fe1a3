"""LayerNorm and L2 normalisation in plain eager torch: 16-bit inputs are computed in float32."""

from __future__ import annotations

import torch

ARRAYS = "torch"


def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis, the variance of x - mean.

    Shapes: x (..., C), weight (C,), bias (C,) -> (..., C).
    """
    wide = _wide(x)
    centred = wide - wide.mean(dim=-1, keepdim=True)
    normalised = centred * torch.rsqrt(centred.square().mean(dim=-1, keepdim=True) + eps)
    return (normalised * _wide(weight) + _wide(bias)).to(x.dtype)


def l2norm(x: torch.Tensor, eps: float) -> torch.Tensor:
    """x / sqrt(sum(x**2) + eps) over the last axis.

    Shapes: x (..., C) -> (..., C).
    """
    wide = _wide(x)
    return (wide / torch.sqrt(wide.square().sum(dim=-1, keepdim=True) + eps)).to(x.dtype)


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype == torch.float64 else x.float()
