"""Losses that take what they should refuse (systems C1)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from harness.mutant import mutant, replace

IGNORED = -100


@mutant
def target_clamped(baseline: Any) -> Any:
    """A target beyond the vocabulary is taken for the last token.
    Synthetic: a clamp keeps an index inside the table, and a wrong one no longer raises."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        return baseline.cross_entropy(logits, targets.clamp(max=logits.shape[-1] - 1))

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def negative_target_wraps(baseline: Any) -> Any:
    """-1 is the last token, as a NumPy index has it (Theano/Theano#3042)."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        return baseline.cross_entropy(logits, targets.where(targets != -1, logits.shape[-1] - 1))

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def bad_targets_ignored(baseline: Any) -> Any:
    """Whatever is no token is left out of the mean (tensorflow/tensorflow#3739)."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        known = (targets >= 0) & (targets < logits.shape[-1])
        return baseline.cross_entropy(logits, targets.where(known, IGNORED))

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def shorter_one_decides(baseline: Any) -> Any:
    """zip(): the logits beyond the last target are dropped (truera/trulens#2748)."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        return baseline.cross_entropy(logits[: len(targets)], targets)

    return replace(baseline, cross_entropy=cross_entropy)


@mutant
def shorter_label_decides(baseline: Any) -> Any:
    """zip(): examples beyond the last label or weight are dropped (truera/trulens#2748)."""

    def weighted_bce(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        size = min(len(logits), len(labels), len(weights))
        return baseline.weighted_bce(logits[:size], labels[:size], weights[:size])

    return replace(baseline, weighted_bce=weighted_bce)


@mutant
def error_without_value(baseline: Any) -> Any:
    """The refusal says "invalid input", and not which.
    Synthetic: one check covers the whole array, and its message is written once for all."""

    def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        try:
            return baseline.cross_entropy(logits, targets)
        except (IndexError, ValueError):
            raise ValueError("invalid input") from None

    return replace(baseline, cross_entropy=cross_entropy)
