"""Linear layers that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace

BLOCK = 64


@mutant
def bias_dropped(baseline: Any) -> Any:
    """The layer has no bias field, so the checkpoint's bias is lost (A1: sbryngelson/ANEForge#253; system D3)."""

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if bias is None:
            raise Inapplicable("there is no bias to drop")
        return baseline.linear(x, weight)

    return replace(baseline, linear=linear)


@mutant
def weight_not_transposed(baseline: Any) -> Any:
    """A weight kept as (out, in) is read as (in, out): silent where it is square (Q2: vllm-project/vllm#50204)."""

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if weight.shape[0] != weight.shape[1] or weight.shape[0] == 1:
            raise Inapplicable(f"a weight of {tuple(weight.shape)} cannot be transposed unseen")
        return baseline.linear(x, weight.T, bias)

    return replace(baseline, linear=linear)


@mutant
def tail_block_dropped(baseline: Any) -> Any:
    """The loop over the inner axis stops at the last whole block (pytorch/pytorch#159247, in attention)."""

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        whole = x.shape[-1] // BLOCK * BLOCK
        if whole in (0, x.shape[-1]):
            raise Inapplicable(f"an inner axis of {x.shape[-1]} has no tail beside whole blocks of {BLOCK}")
        return baseline.linear(x[..., :whole], weight[:, :whole], bias)

    return replace(baseline, linear=linear)


@mutant
def only_last_block_kept(baseline: Any) -> Any:
    """The block's product is stored instead of added: the accumulator is missing (tile-ai/tilelang#2627)."""

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        start = (x.shape[-1] - 1) // BLOCK * BLOCK
        if not start:
            raise Inapplicable(f"an inner axis of {x.shape[-1]} is one block of {BLOCK}")
        return baseline.linear(x[..., start:], weight[:, start:], bias)

    return replace(baseline, linear=linear)


@mutant
def bias_added_per_block(baseline: Any) -> Any:
    """Every block, or every rank, adds the bias (S4, the mutant of a row-parallel layer).
    Synthetic: each rank holds the bias, and only one of them may add it before the sum."""

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        blocks = -(-x.shape[-1] // BLOCK)
        if bias is None or blocks == 1:
            raise Inapplicable("one block, or no bias")
        return baseline.linear(x, weight, bias * blocks)

    return replace(baseline, linear=linear)


@mutant
def sums_in_16_bits(baseline: Any) -> Any:
    """The running sum is kept in the input's 16 bits: long sums stop growing (pytorch/pytorch#2391)."""

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if x.dtype not in (torch.float16, torch.bfloat16):
            raise Inapplicable(f"{x.dtype} has more than 16 bits")
        total = torch.zeros(*x.shape[:-1], weight.shape[0], dtype=x.dtype, device=x.device)
        for i in range(x.shape[-1]):
            total = total + x[..., i : i + 1] * weight[:, i]
        return total if bias is None else total + bias

    return replace(baseline, linear=linear)
