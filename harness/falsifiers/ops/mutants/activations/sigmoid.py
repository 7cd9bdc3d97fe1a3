"""Sigmoids that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace


@mutant
def overflows(baseline: Any) -> Any:
    """exp(x) / (1 + exp(x)), NaN once exp overflows (clab/dynet#1525)."""

    def sigmoid(x: torch.Tensor) -> torch.Tensor:
        e = torch.exp(widened(x))
        return (e / (1 + e)).to(x.dtype)

    return replace(baseline, sigmoid=sigmoid)


@mutant
def hard_sigmoid(baseline: Any) -> Any:
    """relu6(x + 3) / 6, the piecewise stand-in of arXiv:1905.02244."""

    def sigmoid(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.hardsigmoid(x)

    return replace(baseline, sigmoid=sigmoid)


@mutant
def half_angle_missing(baseline: Any) -> Any:
    """(1 + tanh(x)) / 2 for (1 + tanh(x / 2)) / 2.
    Synthetic: a hardware tanh is used for the sigmoid, and both curves look alike."""

    def sigmoid(x: torch.Tensor) -> torch.Tensor:
        wide = widened(x)
        return (0.5 + 0.5 * torch.tanh(wide)).to(x.dtype)

    return replace(baseline, sigmoid=sigmoid)


@mutant
def sign_wrong(baseline: Any) -> Any:
    """exp(x) for exp(-x) in the denominator.
    Synthetic: one minus sign is lost, and the result still lies between 0 and 1."""

    def sigmoid(x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(-x)

    return replace(baseline, sigmoid=sigmoid)
