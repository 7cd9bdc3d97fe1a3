"""Softmaxes that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace

BLOCK = 128


@mutant
def padding_lanes_leak(baseline: Any) -> Any:
    """A row is padded to whole blocks with 0 instead of -inf, and exp(0) joins the sum (tenstorrent/tt-metal#4599)."""

    def softmax(x: torch.Tensor) -> torch.Tensor:
        padded = torch.nn.functional.pad(x, (0, -x.shape[-1] % BLOCK))
        return baseline.softmax(padded)[..., : x.shape[-1]].contiguous()

    return replace(baseline, softmax=softmax)


@mutant
def no_max_subtraction(baseline: Any) -> Any:
    """exp(x) / sum(exp(x)) as written, which overflows (deeplearning4j/deeplearning4j#6039)."""

    def softmax(x: torch.Tensor) -> torch.Tensor:
        weights = torch.exp(widened(x))
        return (weights / weights.sum(-1, keepdim=True)).to(x.dtype)

    return replace(baseline, softmax=softmax)


@mutant
def max_starts_at_zero(baseline: Any) -> Any:
    """The running maximum starts at 0, so a row far below zero underflows to 0 / 0 (uTensor/uTensor#176)."""

    def softmax(x: torch.Tensor) -> torch.Tensor:
        wide = widened(x)
        weights = torch.exp(wide - wide.amax(-1, keepdim=True).clamp(min=0))
        return (weights / (weights.sum(-1, keepdim=True) + 1e-30)).to(x.dtype)

    return replace(baseline, softmax=softmax)


@mutant
def sum_not_rescaled(baseline: Any) -> Any:
    """The online sum is not multiplied by exp(m_old - m_new) when the maximum moves
    (arXiv:1805.02867, algorithm 3, line 5; the exponent's sign was wrong in deepseek-ai/FlashMLA#177)."""

    def softmax(x: torch.Tensor) -> torch.Tensor:
        wide = widened(x)
        maximum = torch.full_like(wide[..., :1], -1e30)  # finite: a masked block is not this fault
        total = torch.zeros_like(maximum)
        for block in wide.split(BLOCK // 4, dim=-1):
            maximum = torch.maximum(maximum, block.amax(-1, keepdim=True))
            total = total + torch.exp(block - maximum).sum(-1, keepdim=True)
        return (torch.exp(wide - maximum) / total).to(x.dtype)

    return replace(baseline, softmax=softmax)


@mutant
def tail_block_dropped(baseline: Any) -> Any:
    """Only whole blocks enter the maximum and the sum (ELS-RD/kernl#73: lengths had to be a multiple of a block)."""

    def softmax(x: torch.Tensor) -> torch.Tensor:
        wide = widened(x)
        seen = wide[..., : x.shape[-1] // BLOCK * BLOCK or x.shape[-1]]
        maximum = seen.amax(-1, keepdim=True)
        return (torch.exp(wide - maximum) / torch.exp(seen - maximum).sum(-1, keepdim=True)).to(x.dtype)

    return replace(baseline, softmax=softmax)


@mutant
def replays_captured_input(baseline: Any) -> Any:
    """A graph captured for this shape reads the first call's input again (beehive-lab/TornadoVM#1006)."""
    captured: dict[Any, torch.Tensor] = {}

    def softmax(x: torch.Tensor) -> torch.Tensor:
        return baseline.softmax(captured.setdefault((x.shape, x.dtype), x.clone()))

    return replace(baseline, softmax=softmax)


@mutant
def reused_output_buffer(baseline: Any) -> Any:
    """One output buffer per shape: the second call overwrites the first result (pytorch/pytorch#104435)."""
    buffers: dict[Any, torch.Tensor] = {}

    def softmax(x: torch.Tensor) -> torch.Tensor:
        return buffers.setdefault((x.shape, x.dtype), torch.empty_like(x)).copy_(baseline.softmax(x))

    return replace(baseline, softmax=softmax)


@mutant
def maximum_follows_the_block(baseline: Any) -> Any:
    """The running maximum is each block's own, also where it falls, and what came before overflows
    (tile-ai/tilelang#1148)."""

    def softmax(x: torch.Tensor) -> torch.Tensor:
        wide = widened(x)
        maximum = wide.split(BLOCK // 4, dim=-1)[-1].amax(-1, keepdim=True)
        weights = torch.exp(wide - maximum)
        return (weights / weights.sum(-1, keepdim=True)).to(x.dtype)

    return replace(baseline, softmax=softmax)


@mutant
def masked_block_is_nan(baseline: Any) -> Any:
    """A first block of -inf leaves the maximum at -inf, and -inf - -inf is NaN (flashinfer-ai/flashinfer#1178)."""

    def softmax(x: torch.Tensor) -> torch.Tensor:
        first = x[..., : BLOCK // 4].amax(-1, keepdim=True)
        return baseline.softmax(x).masked_fill(torch.isinf(first), float("nan"))

    return replace(baseline, softmax=softmax)
