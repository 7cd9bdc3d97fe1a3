"""Numbers in torch's 8-bit floating-point dtypes, as bytes."""

from __future__ import annotations

import torch

KINDS = {"e4m3fn": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}


def to_float8(x: torch.Tensor, kind: str) -> torch.Tensor:
    """Bytes of the nearest numbers, ties to even. Shapes: x any -> uint8, the same. Units: kind e4m3fn or e5m2."""
    return x.contiguous().to(KINDS[kind]).view(torch.uint8)


def from_float8(data: torch.Tensor, kind: str, *, dtype: str) -> torch.Tensor:
    """The numbers that bytes stand for. Shapes: uint8 any -> the same, of a dtype with 2 or more bits of fraction."""
    numbers: torch.Tensor = data.contiguous().view(KINDS[kind]).to(getattr(torch, dtype))
    return numbers
