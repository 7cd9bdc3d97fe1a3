"""Losses that are right for whole blocks, ordinary levels and full rows."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from harness.mutant import mutant, replace

BLOCK = 32


@mutant
def last_row_left_out(baseline: Any) -> Any:
    """The last of several rows is not read. Synthetic: a mean over many rows hardly moves, so that a curve of losses
    shows nothing."""

    def cross_entropy(logits: Tensor, targets: Tensor, *rest: Any) -> Tensor:
        rows = max(len(logits) - 1, 1)
        return baseline.cross_entropy(logits[:rows], targets[:rows], *rest)

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def labels_beyond_a_block_ignored(baseline: Any) -> Any:
    """Labels beyond the last whole block of 32 classes are ignored. Synthetic: published vocabularies are padded to
    whole blocks, so that no label lies there."""

    def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
        whole = logits.shape[-1] // BLOCK * BLOCK or logits.shape[-1]
        return baseline.cross_entropy(logits, targets.where(targets < whole, ignore_index), ignore_index)

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def last_example_left_out(baseline: Any) -> Any:
    """The last of several examples counts in the divisor and not in the sum. Synthetic: an even count is read in pairs,
    the rest of an odd one is forgotten."""

    def weighted_bce(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        count = len(logits)
        kept = count // 2 * 2 or count
        loss = baseline.weighted_bce(logits[:kept], labels[:kept], weights[:kept])
        return loss * kept / count

    return replace(baseline, weighted_bce=weighted_bce)


@mutant
def loss_clipped(baseline: Any) -> Any:
    """The loss is clipped to 100. Synthetic: a guard for the log that ordinary losses never meet."""

    def weighted_bce(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return baseline.weighted_bce(logits, labels, weights).clamp(max=100.0)

    return replace(baseline, weighted_bce=weighted_bce)
