"""The loss in eager torch, CPU or CUDA: 16-bit logits are computed in float32, float64 stays float64."""

from __future__ import annotations

import torch

from harness.candidates.torch._width import widened
from harness.candidates.torch.ops._targets import counted_targets

ARRAYS = "torch"


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, ignore_index: int = -100, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Mean over the counted tokens of how far the label's logit lies below log-sum-exp.

    label_smoothing is the share of the label's weight that is spread evenly over all tokens.
    Shapes: logits (..., V), targets (...) -> (). Units: nats; NaN when no token counts.
    Raises: ValueError as `counted_targets`.
    """
    counted = counted_targets(logits, targets, ignore_index)
    kept = logits[counted]
    wide = widened(kept)
    shifted = wide - wide.amax(dim=-1, keepdim=True)
    picked = shifted.gather(-1, targets[counted][:, None])[:, 0]
    aim = picked.lerp(shifted.mean(dim=-1), label_smoothing) if label_smoothing else picked
    return (shifted.exp().sum(dim=-1).log() - aim).mean().to(logits.dtype)


def weighted_bce(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean over the examples of weight * (softplus(logit) - logit * label), the label clamped to [0, 1].

    Shapes: logits, labels and weights (...) -> (). Units: nats; NaN without examples.
    Raises: ValueError if the shapes differ, a label is NaN, or a weight is negative or not finite.
    """
    if not logits.shape == labels.shape == weights.shape:
        found = f"labels {tuple(labels.shape)} and weights {tuple(weights.shape)}"
        raise ValueError(f"weighted_bce: found {found}, expected {tuple(logits.shape)} as the logits")
    _check("label", labels, ~labels.isnan(), "a number")
    _check("weight", weights, weights.isfinite() & (weights >= 0), "a finite weight >= 0")
    wide, labels, weights = (widened(x) for x in (logits, labels, weights))
    softplus = torch.logaddexp(wide, torch.zeros_like(wide))  # differentiable at 0 too, where abs and clamp are not
    return (weights * (softplus - wide * labels.clamp(0, 1))).mean().to(logits.dtype)


def _check(kind: str, values: torch.Tensor, right: torch.Tensor, expected: str) -> None:
    if not right.all():
        at = int((~right).flatten().nonzero()[0])
        raise ValueError(f"weighted_bce: found {kind} {values.flatten()[at].item()} at {at}, expected {expected}")
