"""Greedy choices that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace

BLOCK = 128


@mutant
def padding_chosen(baseline: Any) -> Any:
    """The columns that pad the vocabulary compete too (G3: transformers#32551; system E3)."""

    def argmax(logits: Tensor, vocab_size: int | None = None) -> Tensor:
        if vocab_size is None:
            raise Inapplicable("the vocabulary is not padded")
        return baseline.argmax(logits)

    return replace(baseline, argmax=argmax)


@mutant
def last_real_token_dropped(baseline: Any) -> Any:
    """The vocabulary is cut one token short
    (G3, vocab_size against the tokenizer's length: ggml-org/llama.cpp#3421)."""

    def argmax(logits: Tensor, vocab_size: int | None = None) -> Tensor:
        return baseline.argmax(logits[..., : (vocab_size or logits.shape[-1]) - 1])

    return replace(baseline, argmax=argmax)


@mutant
def ties_by_highest_id(baseline: Any) -> Any:
    """Of equal logits the highest id wins, as in a reduction that compares with >= (pytorch/pytorch#93630)."""

    def argmax(logits: Tensor, vocab_size: int | None = None) -> Tensor:
        real = logits[..., :vocab_size]
        return real.shape[-1] - 1 - baseline.argmax(real.flip(-1))

    return replace(baseline, argmax=argmax)


@mutant
def block_boundary_dropped(baseline: Any) -> Any:
    """The last column of every whole block is not looked at
    (S10: https://www.anthropic.com/engineering/a-postmortem-of-three-recent-issues)."""

    def argmax(logits: Tensor, vocab_size: int | None = None) -> Tensor:
        seen = logits.clone()
        seen[..., BLOCK - 1 :: BLOCK] = float("-inf")
        return baseline.argmax(seen, vocab_size)

    return replace(baseline, argmax=argmax)


@mutant
def within_block(baseline: Any) -> Any:
    """The winner's place in its block is returned, without the block's start.
    Synthetic: a two-pass reduction keeps the place within the block and has to add the start itself."""

    def argmax(logits: Tensor, vocab_size: int | None = None) -> Tensor:
        return baseline.argmax(logits, vocab_size) % BLOCK

    return replace(baseline, argmax=argmax)


@mutant
def maximum_starts_at_zero(baseline: Any) -> Any:
    """The search starts from 0 at id 0, so a row below zero gives id 0 (chainer/chainer#6742)."""

    def argmax(logits: Tensor, vocab_size: int | None = None) -> Tensor:
        real = logits[..., :vocab_size]
        return baseline.argmax(real).masked_fill(real.amax(-1) <= 0, 0)

    return replace(baseline, argmax=argmax)


@mutant
def compared_in_lower_precision(baseline: Any) -> Any:
    """Logits are cast down before they are compared, and what is nearly the maximum ties with it.

    Synthetic: a kernel with one instance, for the smaller type, is called with a cast around it.
    """

    def argmax(logits: Tensor, vocab_size: int | None = None) -> Tensor:
        lower = torch.bfloat16 if logits.dtype == torch.float32 else torch.float8_e4m3fn
        return baseline.argmax(logits.to(lower).float(), vocab_size)

    return replace(baseline, argmax=argmax)
