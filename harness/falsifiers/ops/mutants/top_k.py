"""Choices of the k largest that were shipped wrong."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from harness.mutant import mutant, replace

BLOCK = 128


@mutant
def block_boundary_dropped(baseline: Any) -> Any:
    """The last column of every whole block is not looked at, so that the largest at a boundary is dropped
    (S10: https://www.anthropic.com/engineering/a-postmortem-of-three-recent-issues)."""

    def top_k(logits: Tensor, k: int) -> Tensor:
        seen = logits.clone()
        seen[..., BLOCK - 1 :: BLOCK] = float("-inf")
        return baseline.top_k(seen, k)

    return replace(baseline, top_k=top_k)


@mutant
def ties_by_highest_id(baseline: Any) -> Any:
    """Of equal logits the highest id comes first, as in a sort of the reversed row.
    Synthetic: descending order is made by reversing an ascending sort, which turns ties round."""

    def top_k(logits: Tensor, k: int) -> Tensor:
        return logits.shape[-1] - 1 - baseline.top_k(logits.flip(-1), k)

    return replace(baseline, top_k=top_k)


@mutant
def smallest_first(baseline: Any) -> Any:
    """The right ids in ascending order of their logits.
    Synthetic: a heap or a partition of the largest k yields them in ascending order."""
    return replace(baseline, top_k=lambda logits, k: baseline.top_k(logits, k).flip(-1))


@mutant
def one_per_block(baseline: Any) -> Any:
    """Approximate top-k: only the largest of each block of 8 competes
    (S10: https://www.anthropic.com/engineering/a-postmortem-of-three-recent-issues)."""

    def top_k(logits: Tensor, k: int) -> Tensor:
        blocks = logits.shape[-1] // 8
        seen = logits.clone()
        if blocks >= k:
            inner = seen[..., : blocks * 8].unflatten(-1, (blocks, 8))
            inner.masked_fill_(inner < inner.amax(dim=-1, keepdim=True), float("-inf"))
        return baseline.top_k(seen, k)

    return replace(baseline, top_k=top_k)
