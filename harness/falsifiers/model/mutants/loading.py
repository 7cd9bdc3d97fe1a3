"""Known-wrong loaders: float32 weights brought to a narrow dtype by cutting, or by another rule for ties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from harness.mutant import mutant, replace

DROPPED = {"bfloat16": 16, "float16": 13}
"""Bits of a float32's fraction that the narrow dtype does not have."""


@mutant
def cut_off(baseline: Any) -> Any:
    """The lower bits are cut off, not rounded: every weight is a little too small (tenstorrent/tt-metal#19882)."""
    return _loading(baseline, lambda w, dtype: _bits(w, lambda bits: bits >> DROPPED[dtype] << DROPPED[dtype]))


@mutant
def ties_away_from_zero(baseline: Any) -> Any:
    """Half a step is added and the rest cut off: right but for ties. Synthetic: the usual one-line conversion."""

    def convert(w: torch.Tensor, dtype: str) -> torch.Tensor:
        drop = DROPPED[dtype]
        return _bits(w, lambda bits: (bits + (1 << (drop - 1))) >> drop << drop)

    return _loading(baseline, convert)


@mutant
def rounded_twice(baseline: Any) -> Any:
    """Weights pass through the other sixteen-bit type. Synthetic: a file was converted once more on its way."""
    other = {"bfloat16": torch.float16, "float16": torch.bfloat16}
    return _loading(baseline, lambda w, dtype: w.to(other[dtype]).float())


def _bits(w: torch.Tensor, edit: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    return edit(w.contiguous().view(torch.int32)).to(torch.int32).view(torch.float32)


def _loading(baseline: Any, convert: Callable[[torch.Tensor, str], torch.Tensor]) -> Any:
    def load(config: Any, weights: dict[str, torch.Tensor], *, dtype: str, device: str) -> Any:
        narrow = {name: convert(w.float(), dtype) for name, w in weights.items()}
        return baseline.load(config, narrow, dtype=dtype, device=device)

    return replace(baseline, load=load)
