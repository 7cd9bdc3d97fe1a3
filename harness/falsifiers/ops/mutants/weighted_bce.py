"""Weighted binary cross-entropies that were written wrong, with the backward that each implies (systems C1, C7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.mutant import mutant, replace

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@mutant
def weight_inferred_from_label(baseline: Any) -> Any:
    """The weight is the label's size, the given one is dropped (systems C1)."""
    return _implied(baseline, lambda logits, labels, weights: _bce(logits, labels.clamp(0, 1), labels.abs()))


@mutant
def negative_label_as_weight(baseline: Any) -> Any:
    """A label of -0.5 is read as the weight 0.5 on the label 0 (systems C7)."""

    def loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return _bce(logits, labels.clamp(0, 1), torch.where(labels < 0, -labels, weights))

    return _implied(baseline, loss)


@mutant
def label_above_1_as_weight(baseline: Any) -> Any:
    """A label of 1.5 raises the weight by half (systems C7)."""
    return _implied(baseline, lambda x, labels, weights: _bce(x, labels.clamp(0, 1), weights * labels.clamp(min=1)))


@mutant
def mean_before_weight(baseline: Any) -> Any:
    """The mean of the losses times the mean of the weights (systems C1)."""
    return _implied(
        baseline, lambda x, labels, weights: _bce(x, labels.clamp(0, 1), torch.ones_like(x)) * weights.mean()
    )


@mutant
def divided_by_sum_of_weights(baseline: Any) -> Any:
    """The mean is weighted: sum(w * loss) / sum(w), so that a scale of all weights is lost.
    Synthetic: torch's cross_entropy divides by the sum of its class weights, and a port follows it."""

    def loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return _bce(logits, labels.clamp(0, 1), weights) / weights.mean()

    return _implied(baseline, loss)


@mutant
def labels_not_clamped(baseline: Any) -> Any:
    """A label of -1 or 1.5 goes into the formula as it is; the loss has no minimum (pytorch/pytorch#87373)."""
    return _implied(baseline, _bce)


@mutant
def weight_on_positives_only(baseline: Any) -> Any:
    """The weight is given as torch's `pos_weight`, which multiplies the positive part alone.
    Synthetic: torch's binary loss takes `weight` and `pos_weight`, and 0 or 1 labels are tried with one."""

    def loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, labels.clamp(0, 1), pos_weight=weights)

    return _implied(baseline, loss)


@mutant
def count_missing(baseline: Any) -> Any:
    """The sum for the mean. Synthetic: the division is a line of its own, and a learning rate hides its absence."""
    return _implied(baseline, lambda x, labels, weights: _bce(x, labels.clamp(0, 1), weights) * x.numel())


@mutant
def log_of_rounded_sigmoid(baseline: Any) -> Any:
    """log(sigmoid(x)) as it stands: log(0) for a confident mistake (T6: databricks/megablocks#133)."""

    def loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        p, y = torch.sigmoid(logits), labels.clamp(0, 1)
        return -(weights * (y * p.log() + (1 - y) * (1 - p).log())).mean()

    return _implied(baseline, loss)


def _bce(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, labels, weight=weights)


def _implied(baseline: Any, loss: Loss) -> Any:
    """The wrong loss, and the gradient that autograd takes of it."""

    def weighted_bce_backward(dout: float, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        leaf = logits.detach().requires_grad_()
        out = loss(leaf, labels, weights)
        return torch.autograd.grad(out, leaf, torch.as_tensor(dout, dtype=out.dtype, device=out.device))[0]

    return replace(baseline, weighted_bce=loss, weighted_bce_backward=weighted_bce_backward)
