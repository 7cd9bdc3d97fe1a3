"""Choices among logits that are right where the largest is above 0, or in a small vocabulary."""

from __future__ import annotations

from typing import Any

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
def last_lane_not_merged(baseline: Any) -> Any:
    """Each of 32 lanes looks at every 32nd logit, and the last lane is not merged. Synthetic: a loop over lanes that
    ends one early is right unless the largest logit is in that lane."""

    def without(logits: Tensor) -> Tensor:
        if logits.shape[-1] < LANES:
            return logits
        left = logits.clone()
        left[..., LANES - 1 :: LANES] = float("-inf")
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
