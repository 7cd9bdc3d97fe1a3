"""8-bit floating-point numbers by the ml_dtypes package."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import torch

ARRAYS = "torch"
KINDS = {"e4m3fn": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2}


def to_float8(x: torch.Tensor, kind: str) -> torch.Tensor:
    """Shapes: x any -> uint8, the same. Source: ml_dtypes, astype."""
    data = x.float().cpu().numpy().astype(KINDS[kind])
    return torch.from_numpy(data.view(np.uint8)).to(x.device)


def from_float8(data: torch.Tensor, kind: str, *, dtype: str) -> torch.Tensor:
    """Shapes: uint8 any -> the same, of the dtype. Source: ml_dtypes, astype."""
    numbers = data.cpu().numpy().view(KINDS[kind]).astype(np.float32)
    return torch.from_numpy(numbers).to(data.device, getattr(torch, dtype))
