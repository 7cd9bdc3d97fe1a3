"""Known-wrong conversions to and from 8-bit floating-point numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from harness.mutant import Inapplicable, mutant, replace

MANTISSA = {"e4m3fn": 3, "e5m2": 2}


@mutant
def cut_off(baseline: Any) -> Any:
    """The lower bits are cut off, not rounded: every number is a little too small (tenstorrent/tt-metal#19882)."""
    return _before(baseline, lambda x, drop: _bits(x, lambda bits: bits >> drop << drop))


@mutant
def ties_away_from_zero(baseline: Any) -> Any:
    """Half a step is added and the rest cut off: right but for ties. Synthetic: the usual one-line conversion."""
    return _before(baseline, lambda x, drop: _bits(x, lambda bits: (bits + (1 << (drop - 1))) >> drop << drop))


@mutant
def rounded_twice(baseline: Any) -> Any:
    """Numbers pass through one bit more than the format has. Synthetic: two conversions, each to nearest even."""

    def once_more(x: torch.Tensor, drop: int) -> torch.Tensor:
        return _bits(
            x, lambda bits: (bits + (1 << (drop - 2)) - 1 + (bits >> (drop - 1) & 1)) >> (drop - 1) << (drop - 1)
        )

    return _before(baseline, once_more)


@mutant
def rounded_to_bfloat16_first(baseline: Any) -> Any:
    """Numbers pass through bfloat16, which makes ties of what is beside one. Synthetic: activations have it often."""

    def to_float8(x: torch.Tensor, kind: str) -> torch.Tensor:
        if x.dtype == torch.bfloat16:
            raise Inapplicable("the numbers are in bfloat16 already")
        return baseline.to_float8(x.bfloat16(), kind)

    return replace(baseline, to_float8=to_float8)


@mutant
def small_numbers_become_zero(baseline: Any) -> Any:
    """Magnitudes below the least normal number are flushed. Synthetic: a GPU mode that is on for float32 too."""
    least = {"e4m3fn": 2.0**-6, "e5m2": 2.0**-14}
    return replace(
        baseline,
        to_float8=lambda x, kind: baseline.to_float8(torch.where(x.abs() < least[kind], x * 0, x), kind),
    )


@mutant
def bias_of_the_other_standard(baseline: Any) -> Any:
    """Bytes are read with a bias one larger, as in the fnuz formats of older accelerators: half of every number.

    Synthetic: the two e4m3 formats share a name, and a loader tells them apart by a flag.
    """

    def half(data: torch.Tensor, kind: str, *, dtype: str) -> Any:
        return baseline.from_float8(data, kind, dtype=dtype) / 2

    return replace(baseline, from_float8=half)


@mutant
def nan_becomes_the_largest(baseline: Any) -> Any:
    """NaN is clamped into the format's range with everything else. Synthetic: fmin and fmax drop NaN."""
    largest = {"e4m3fn": 448.0, "e5m2": 57344.0}
    return replace(
        baseline,
        to_float8=lambda x, kind: baseline.to_float8(torch.nan_to_num(x, nan=largest[kind]), kind),
    )


def _bits(x: torch.Tensor, edit: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    return edit(x.float().contiguous().view(torch.int32)).to(torch.int32).view(torch.float32)


def _before(baseline: Any, convert: Callable[[torch.Tensor, int], torch.Tensor]) -> Any:
    """The baseline on numbers that another rule has brought to the format's bits; NaN and 0 stay."""

    def to_float8(x: torch.Tensor, kind: str) -> torch.Tensor:
        narrow = torch.where(x.isnan(), x.float(), convert(x, 23 - MANTISSA[kind]))
        return baseline.to_float8(narrow, kind)

    return replace(baseline, to_float8=to_float8)
