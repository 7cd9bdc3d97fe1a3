"""Matrix products in eager torch, CPU or CUDA: 16-bit inputs are summed in float32, float64 stays float64."""

from __future__ import annotations

import torch

from harness.candidates.torch._width import widened

ARRAYS = "torch"


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x weight^T + bias, rounded once, at the end. Shapes: x (..., I), weight (O, I), bias (O,) -> (..., O)."""
    out = torch.einsum("...i,oi->...o", widened(x), widened(weight))
    return (out if bias is None else out + widened(bias)).to(x.dtype)


def matmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The product of each pair of matrices. Shapes: a (..., M, K), b (..., K, N) -> (..., M, N)."""
    return torch.einsum("...mk,...kn->...mn", widened(a), widened(b)).to(a.dtype)


def embedding(tokens: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Row tokens[i] of weight. Shapes: tokens (...), weight (V, C) -> (..., C)."""
    return weight.index_select(0, tokens.reshape(-1)).reshape(*tokens.shape, weight.shape[1])
