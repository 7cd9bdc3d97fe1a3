"""Look-ups that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace


@mutant
def ids_off_by_one(baseline: Any) -> Any:
    """A table with one special row more than the tokenizer knows shifts every id (G3: ggml-org/llama.cpp#3421)."""

    def embedding(tokens: Tensor, weight: Tensor) -> Tensor:
        return baseline.embedding((tokens + 1) % len(weight), weight)

    return replace(baseline, embedding=embedding)


@mutant
def scaled_by_sqrt_width(baseline: Any) -> Any:
    """Gemma's sqrt(hidden_size) on a model that has none (E3, huggingface/transformers#29402, on the wrong family)."""

    def embedding(tokens: Tensor, weight: Tensor) -> Tensor:
        return baseline.embedding(tokens, weight) * weight.shape[1] ** 0.5

    return replace(baseline, embedding=embedding)


@mutant
def first_row_is_padding(baseline: Any) -> Any:
    """padding_idx=0 by default, so that token 0 has no embedding (ibalazevic/TuckER#17)."""

    def embedding(tokens: Tensor, weight: Tensor) -> Tensor:
        return baseline.embedding(tokens, torch.cat((torch.zeros_like(weight[:1]), weight[1:])))

    return replace(baseline, embedding=embedding)


@mutant
def last_row_clamped(baseline: Any) -> Any:
    """Ids are clamped to the tokenizer's last one, a row short of the table (G3: huggingface/transformers#32551)."""

    def embedding(tokens: Tensor, weight: Tensor) -> Tensor:
        return baseline.embedding(tokens.clamp(max=len(weight) - 2), weight)

    return replace(baseline, embedding=embedding)


@mutant
def ids_in_int16(baseline: Any) -> Any:
    """Ids are kept in 16 bits: those past 32,767 give another row.

    Synthetic: half of the ids' memory, in a format made for vocabularies of 32,000.
    """

    def embedding(tokens: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return baseline.embedding(tokens.short().long() % weight.shape[0], weight)

    return replace(baseline, embedding=embedding)
