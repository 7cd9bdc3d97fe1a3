"""Products, look-ups and rotations that are right for the usual sizes and for positions in a row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace

BLOCK = 32
TABLE = 2048
LARGEST_ID = 1 << 15


@mutant
def inner_tail_dropped(baseline: Any) -> Any:
    """Products beyond the last whole block of 32 are left out. Synthetic: the inner sizes of models are multiples of
    32, so that the loop for the rest is never run."""

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return baseline.linear(x[..., : _whole(x)], weight[:, : _whole(x)], bias)

    def matmul(a: Tensor, b: Tensor) -> Tensor:
        return baseline.matmul(a[..., : _whole(a)], b[..., : _whole(a), :])

    return replace(baseline, linear=linear, matmul=matmul)


@mutant
def lone_row_without_bias(baseline: Any) -> Any:
    """A single row goes to the matrix-vector product, which takes no bias. Synthetic: decoding one token at a time is
    then wrong where a prompt is right."""

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return baseline.linear(x, weight, None if len(x) == 1 else bias)

    return replace(baseline, linear=linear)


@mutant
def ids_in_16_bits(baseline: Any) -> Any:
    """Ids wrap at 32,768. Synthetic: an id kept as int16, of which a small vocabulary shows nothing."""

    def embedding(tokens: Tensor, weight: Tensor) -> Tensor:
        return baseline.embedding(tokens % LARGEST_ID, weight)

    return replace(baseline, embedding=embedding)


@mutant
def positions_counted_on(baseline: Any) -> Any:
    """Positions are counted on from the first one. Synthetic: one start per call is all that a kernel needs for
    positions in a row."""

    def rope(x: Tensor, positions: Tensor, **options: Any) -> Tensor:
        return baseline.rope(x, positions[0] + torch.arange(len(positions), device=positions.device), **options)

    return replace(baseline, rope=rope)


@mutant
def positions_wrap(baseline: Any) -> Any:
    """The table of angles has 2,048 rows and is read modulo its length. Synthetic: a fixed table is right for every
    context that fits it."""

    def rope(x: Tensor, positions: Tensor, **options: Any) -> Tensor:
        return baseline.rope(x, positions % TABLE, **options)

    return replace(baseline, rope=rope)


def _whole(x: Tensor) -> int:
    """The columns of whole blocks; all, if there is no whole block."""
    return x.shape[-1] // BLOCK * BLOCK or x.shape[-1]
