"""Losses that were shipped wrong."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace

IGNORED = -100


@mutant
def ignored_tokens_counted(baseline: Any) -> Any:
    """The sum is divided by all tokens, ignored ones too (T3: open-mmlab/mmsegmentation#886)."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        return baseline.cross_entropy(logits, targets) * (targets != IGNORED).sum() / targets.numel()

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def ignored_as_last_token(baseline: Any) -> Any:
    """-100 is not known as "ignore" and counts as a label (T3: flagos-ai/FlagGems#73)."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        return baseline.cross_entropy(logits, targets.where(targets != IGNORED, logits.shape[-1] - 1))

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def labels_shifted_twice(baseline: Any) -> Any:
    """Labels that come shifted are shifted again: each position predicts the token after next (system D6)."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        return baseline.cross_entropy(logits[:, :-1], targets[:, 1:])

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def in_bits(baseline: Any) -> Any:
    """log2 for ln: ln(151643) was written as 17.21, which is its log2 (system D6)."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        return baseline.cross_entropy(logits, targets) / math.log(2)

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def mean_of_row_means(baseline: Any) -> Any:
    """Each row's mean, then their mean: rows of few tokens count more (T1: huggingface/transformers#34191)."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        rows = zip(logits, targets, strict=True)
        return torch.stack([baseline.cross_entropy(row[None], labels[None]) for row, labels in rows]).mean()

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def maximum_not_subtracted(baseline: Any) -> Any:
    """log(sum(exp)) as it stands, infinite for large logits (T6: databricks/megablocks#133)."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        wide = widened(logits)
        kept = targets != IGNORED
        picked = wide[kept].gather(-1, targets[kept][:, None])[:, 0]
        return (wide[kept].exp().sum(-1).log() - picked).mean().to(logits.dtype)

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def exponent_clamped(baseline: Any) -> Any:
    """Logits are clamped so that exp cannot overflow, and large ones become equal.
    Synthetic: a clamp is the quick cure of an overflow, and small logits do not show it."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        return baseline.cross_entropy(logits.clamp(-80, 80), targets)

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def only_100_is_ignored(baseline: Any) -> Any:
    """-100 stands in the kernel, and another ignore_index counts as a label.

    Synthetic: the default is the only value that its first caller used.
    """

    def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int = IGNORED, **options: Any) -> Tensor:
        if ignore_index == IGNORED:
            return baseline.cross_entropy(logits, targets, **options)
        return baseline.cross_entropy(logits, targets.clamp(min=0), **options)

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def smoothing_ignored(baseline: Any) -> Any:
    """label_smoothing is taken and not used.

    Synthetic: an argument that a fused loss accepts for the sake of the interface.
    """

    def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int = IGNORED, **options: Any) -> Tensor:
        return baseline.cross_entropy(logits, targets, ignore_index)

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def smoothing_leaves_the_label_out(baseline: Any) -> Any:
    """The share is spread over the V - 1 other tokens, as in Szegedy's text and not as in torch.

    Synthetic: both definitions are in use, and are called the same.
    """

    def cross_entropy(
        logits: Tensor, targets: Tensor, ignore_index: int = IGNORED, label_smoothing: float = 0.0
    ) -> Tensor:
        vocab = logits.shape[-1]
        return baseline.cross_entropy(logits, targets, ignore_index, label_smoothing * vocab / (vocab - 1))

    return replace(baseline, cross_entropy=cross_entropy)
