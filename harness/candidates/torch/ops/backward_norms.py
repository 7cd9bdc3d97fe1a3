"""Backward of RMSNorm, LayerNorm and L2 normalisation, written by hand, in float32 or wider."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.candidates.torch._width import widened


def rmsnorm_backward(dout: Tensor, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """dx = (dn - n * mean(n * dn)) / rms, dweight = sum of dout * n, with n = x / rms and dn = dout * weight.

    Shapes: dout and x (..., C), weight (C,) -> (..., C), (C,).
    """
    wide, up = widened(x), widened(dout)
    inverse = torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + eps)
    n = wide * inverse
    dn = up * widened(weight)
    dx = inverse * (dn - n * (n * dn).mean(dim=-1, keepdim=True))
    return dx.to(x.dtype), _columns(up * n).to(weight.dtype)


def layernorm_backward(
    dout: Tensor, x: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """dx = (dn - mean(dn) - n * mean(n * dn)) / std, dweight = sum of dout * n, dbias = sum of dout.

    Shapes: dout and x (..., C), weight and bias (C,) -> (..., C), (C,), (C,).
    """
    wide, up = widened(x), widened(dout)
    centred = wide - wide.mean(dim=-1, keepdim=True)
    inverse = torch.rsqrt(centred.square().mean(dim=-1, keepdim=True) + eps)
    n = centred * inverse
    dn = up * widened(weight)
    dx = inverse * (dn - dn.mean(dim=-1, keepdim=True) - n * (n * dn).mean(dim=-1, keepdim=True))
    return dx.to(x.dtype), _columns(up * n).to(weight.dtype), _columns(up).to(bias.dtype)


def l2norm_backward(dout: Tensor, x: Tensor, eps: float) -> tuple[Tensor]:
    """(dout - y * sum(y * dout)) / length, y = x / length. Shapes: all (..., C)."""
    wide, up = widened(x), widened(dout)
    inverse = torch.rsqrt(wide.square().sum(dim=-1, keepdim=True) + eps)
    y = wide * inverse
    return ((inverse * (up - y * (y * up).sum(dim=-1, keepdim=True))).to(x.dtype),)


def _columns(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1]).sum(dim=0)
