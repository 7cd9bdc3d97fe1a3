"""Batched matrix products that were shipped wrong."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace

BLOCK = 64


@mutant
def second_not_transposed_back(baseline: Any) -> Any:
    """b arrives as (N, K) from a column-major library and is not turned back: silent where it is square.
    Synthetic: BLAS is column-major and Python's arrays are not, so that every binding has this step."""

    def matmul(a: Tensor, b: Tensor) -> Tensor:
        if b.shape[-1] != b.shape[-2] or b.shape[-1] == 1:
            raise Inapplicable(f"matrices of {tuple(b.shape[-2:])} cannot be transposed unseen")
        return baseline.matmul(a, b.transpose(-1, -2))

    return replace(baseline, matmul=matmul)


@mutant
def tail_block_dropped(baseline: Any) -> Any:
    """The loop over the inner axis stops at the last whole block (pytorch/pytorch#159247, in attention)."""

    def matmul(a: Tensor, b: Tensor) -> Tensor:
        whole = a.shape[-1] // BLOCK * BLOCK
        if whole in (0, a.shape[-1]):
            raise Inapplicable(f"an inner axis of {a.shape[-1]} has no tail beside whole blocks of {BLOCK}")
        return baseline.matmul(a[..., :whole], b[..., :whole, :])

    return replace(baseline, matmul=matmul)


@mutant
def only_last_block_kept(baseline: Any) -> Any:
    """The block's product is stored instead of added: the accumulator is missing (tile-ai/tilelang#2627)."""

    def matmul(a: Tensor, b: Tensor) -> Tensor:
        start = (a.shape[-1] - 1) // BLOCK * BLOCK
        if not start:
            raise Inapplicable(f"an inner axis of {a.shape[-1]} is one block of {BLOCK}")
        return baseline.matmul(a[..., start:], b[..., start:, :])

    return replace(baseline, matmul=matmul)


@mutant
def first_batch_for_all(baseline: Any) -> Any:
    """A batch stride of 0: every product reads the first b.
    Synthetic: a stride of 0 is how a shared b is passed, and one test with equal matrices passes."""

    def matmul(a: Tensor, b: Tensor) -> Tensor:
        return baseline.matmul(a, b[:1].expand_as(b))

    return replace(baseline, matmul=matmul)
