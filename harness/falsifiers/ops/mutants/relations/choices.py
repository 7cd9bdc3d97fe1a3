"""Choices among logits that are right where the largest is above 0, or in a small vocabulary."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace

LANES = 32


@mutant
def maximum_starts_at_zero(baseline: Any) -> Any:
    """The maximum so far starts at 0 and the id at 0: a row of negative logits gives token 0. Synthetic: some logit
    is above 0 in nearly every row of a trained model."""

    def argmax(logits: Tensor, vocab_size: int | None = None) -> Tensor:
        real = logits[..., :vocab_size]
        return baseline.argmax(real) * (real.amax(-1) > 0)

    def top_k(logits: Tensor, k: int) -> Tensor:
        ids = baseline.top_k(logits, k)
        return ids * (logits.gather(-1, ids) > 0)

    return replace(baseline, argmax=argmax, top_k=top_k)


@mutant
def upper_lanes_not_merged(baseline: Any) -> Any:
    """Each of 32 lanes looks at every 32nd logit, and lanes 16 to 31 are not merged. Synthetic: a merge by halves that
    starts one step late is right whenever the largest logit is in a lower lane."""

    def without(logits: Tensor) -> Tensor:
        left = logits.clone()
        left[..., torch.arange(logits.shape[-1]) % LANES >= LANES // 2] = float("-inf")
        return left

    def argmax(logits: Tensor, vocab_size: int | None = None) -> Tensor:
        return baseline.argmax(without(logits[..., :vocab_size]))

    def top_k(logits: Tensor, k: int) -> Tensor:
        return baseline.top_k(without(logits), k)

    return replace(baseline, argmax=argmax, top_k=top_k)


@mutant
def logits_in_steps(baseline: Any) -> Any:
    """Logits are compared in steps of 1/1024. Synthetic: a packed key of logit and id leaves few bits to the logit;
    scaled down, all logits are equal."""

    def argmax(logits: Tensor, vocab_size: int | None = None) -> Tensor:
        return baseline.argmax(_stepped(logits[..., :vocab_size]))

    def top_k(logits: Tensor, k: int) -> Tensor:
        return baseline.top_k(_stepped(logits), k)

    return replace(baseline, argmax=argmax, top_k=top_k)


def _stepped(logits: Tensor) -> Tensor:
    return (logits.double() * 1024).round()
