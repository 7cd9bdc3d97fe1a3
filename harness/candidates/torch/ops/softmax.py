"""Softmax in plain eager torch: 16-bit inputs are computed in float32, float64 stays float64."""

from __future__ import annotations

import torch

from harness.candidates.torch._width import widened

ARRAYS = "torch"


def softmax(x: torch.Tensor, axis: int = -1) -> torch.Tensor:
    """exp(x - max) / sum, along axis.

    Shapes: x any -> the same.
    """
    wide = widened(x)
    weights = torch.exp(wide - wide.amax(dim=axis, keepdim=True))
    return (weights / weights.sum(dim=axis, keepdim=True)).to(x.dtype)
