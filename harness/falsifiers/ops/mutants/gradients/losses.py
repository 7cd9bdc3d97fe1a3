"""Backward passes of losses that were written wrong: scale, denominators, labels and weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.falsifiers.baselines.width import widened
from harness.mutant import Inapplicable, mutant, replace

IGNORED = -100


@mutant
def count_missing(baseline: Any) -> Any:
    """The gradient of the sum for that of the mean: 1/N is missing (systems A2)."""

    def cross_entropy_backward(dout: float, logits: Tensor, targets: Tensor) -> Tensor:
        return baseline.cross_entropy_backward(dout, logits, targets)[0] * (targets != IGNORED).sum()

    return replace(baseline, cross_entropy_backward=cross_entropy_backward)


@mutant
def ignored_tokens_in_denominator(baseline: Any) -> Any:
    """The sum is divided by all tokens, ignored ones too (T3: open-mmlab/mmsegmentation#886)."""

    def cross_entropy_backward(dout: float, logits: Tensor, targets: Tensor) -> Tensor:
        counted = targets != IGNORED
        if counted.all():
            raise Inapplicable("no token is ignored")
        return baseline.cross_entropy_backward(dout, logits, targets)[0] * counted.sum() / targets.numel()

    return replace(baseline, cross_entropy_backward=cross_entropy_backward)


@mutant
def ignored_tokens_get_gradient(baseline: Any) -> Any:
    """-100 is not known as "ignore": its softmax flows back as it is (T3: flagos-ai/FlagGems#73)."""

    def cross_entropy_backward(dout: float, logits: Tensor, targets: Tensor) -> Tensor:
        counted = (targets != IGNORED)[..., None]
        if counted.all():
            raise Inapplicable("no token is ignored")
        sound = baseline.cross_entropy_backward(dout, logits, targets)[0]
        return torch.where(counted, sound, torch.softmax(logits, dim=-1) * (dout / counted.sum()))

    return replace(baseline, cross_entropy_backward=cross_entropy_backward)


@mutant
def onehot_missing(baseline: Any) -> Any:
    """softmax(logits) / N: the 1 at the target is not subtracted.
    Synthetic: the subtraction is a scatter of its own behind the softmax and is left out."""

    def cross_entropy_backward(dout: float, logits: Tensor, targets: Tensor) -> Tensor:
        counted = targets != IGNORED
        return torch.softmax(logits, dim=-1) * counted[..., None] * (dout / counted.sum())

    return replace(baseline, cross_entropy_backward=cross_entropy_backward)


@mutant
def upstream_ignored(baseline: Any) -> Any:
    """The gradient for dout = 1 whatever dout is: a loss scale that is lost (O4: NVIDIA/apex#1512)."""

    def cross_entropy_backward(dout: float, logits: Tensor, targets: Tensor) -> Tensor:
        return baseline.cross_entropy_backward(1.0, logits, targets)

    return replace(baseline, cross_entropy_backward=cross_entropy_backward)


@mutant
def ce_mean_of_row_means(baseline: Any) -> Any:
    """Each row is divided by its own count, then by the rows (T1: huggingface/transformers#34191)."""

    def cross_entropy_backward(dout: float, logits: Tensor, targets: Tensor) -> Tensor:
        counts = (targets != IGNORED).sum(dim=-1)
        if (counts == counts[0]).all():
            raise Inapplicable("every row has the same count")
        rows = [
            baseline.cross_entropy_backward(dout / len(logits), row[None], labels[None])[0][0]
            for row, labels in zip(logits, targets, strict=True)
        ]
        return torch.stack(rows)

    return replace(baseline, cross_entropy_backward=cross_entropy_backward)


@mutant
def ce_maximum_not_subtracted(baseline: Any) -> Any:
    """softmax as exp(x) / sum(exp(x)): Inf / Inf for large logits (T6: databricks/megablocks#133)."""

    def cross_entropy_backward(dout: float, logits: Tensor, targets: Tensor) -> Tensor:
        sound = baseline.cross_entropy_backward(dout, logits, targets)[0]
        counted = targets != IGNORED
        e = torch.exp(widened(logits))
        naive = e / e.sum(dim=-1, keepdim=True) - torch.nn.functional.one_hot(targets.clamp(min=0), logits.shape[-1])
        return torch.where(counted[..., None], naive * (dout / counted.sum()), 0).to(sound.dtype)

    return replace(baseline, cross_entropy_backward=cross_entropy_backward)


@mutant
def logits_clamped(baseline: Any) -> Any:
    """Logits are clamped so that exp cannot overflow, and large ones become equal.
    Synthetic: a clamp is the quick cure of an overflow, and small logits do not show it."""

    def cross_entropy_backward(dout: float, logits: Tensor, targets: Tensor) -> Tensor:
        return baseline.cross_entropy_backward(dout, logits.clamp(-80, 80), targets)

    return replace(baseline, cross_entropy_backward=cross_entropy_backward)
