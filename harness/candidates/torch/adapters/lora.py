"""Low-rank adapters of linear layers, applied separately or merged into the weight."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import linear

from harness.candidates.torch.adapters._fitting import Adapter, fitting

ARRAYS = "torch"


def lora_scale(r: int, lora_alpha: float, use_rslora: bool = False) -> float:
    """lora_alpha / r, or lora_alpha / sqrt(r) with rank stabilisation."""
    return lora_alpha / math.sqrt(r) if use_rslora else lora_alpha / r


def lora_linear(x: torch.Tensor, weight: torch.Tensor, adapter: Adapter | None = None) -> torch.Tensor:
    """x W^T + scale (x A^T) B^T; without an adapter exactly `linear(x, weight)`.

    Shapes: x (..., I), weight (O, I) -> (..., O).
    Raises: ValueError naming the shapes if A or B does not fit the weight.
    """
    out = linear(x, weight)
    if adapter is None:
        return out
    A, B, scale = fitting(weight, adapter)
    return out + scale * linear(linear(x, A), B)


@torch.no_grad()
def merge_lora(weight: torch.Tensor, adapter: Adapter) -> torch.Tensor:
    """W + scale B A, computed in at least float32 and rounded once."""
    A, B, scale = fitting(weight, adapter)
    wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
    return (weight.to(wide) + scale * (B.to(wide) @ A.to(wide))).to(weight.dtype)


@torch.no_grad()
def unmerge_lora(weight: torch.Tensor, adapter: Adapter) -> torch.Tensor:
    """W - scale B A: undo `merge_lora`, up to the rounding of both."""
    A, B, scale = adapter
    return merge_lora(weight, (A, B, -scale))
