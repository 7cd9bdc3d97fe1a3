"""Sigmoids that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.falsifiers.ops.mutants.activations.tail import tail_dropped
from harness.mutant import replace


def overflows(baseline: Any) -> Any:
    """exp(x) / (1 + exp(x)), NaN once exp overflows (clab/dynet#1525)."""

    def sigmoid(x: torch.Tensor) -> torch.Tensor:
        e = torch.exp(_wide(x))
        return (e / (1 + e)).to(x.dtype)

    return replace(baseline, sigmoid=sigmoid)


def hard_sigmoid(baseline: Any) -> Any:
    """relu6(x + 3) / 6, the piecewise stand-in of arXiv:1905.02244."""

    def sigmoid(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.hardsigmoid(x)

    return replace(baseline, sigmoid=sigmoid)


def half_angle_missing(baseline: Any) -> Any:
    """(1 + tanh(x)) / 2 for (1 + tanh(x / 2)) / 2.
    Synthetic: a hardware tanh is used for the sigmoid, and both curves look alike."""

    def sigmoid(x: torch.Tensor) -> torch.Tensor:
        wide = _wide(x)
        return (0.5 + 0.5 * torch.tanh(wide)).to(x.dtype)

    return replace(baseline, sigmoid=sigmoid)


def sign_wrong(baseline: Any) -> Any:
    """exp(x) for exp(-x) in the denominator.
    Synthetic: one minus sign is lost, and the result still lies between 0 and 1."""

    def sigmoid(x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(-x)

    return replace(baseline, sigmoid=sigmoid)


def tail_left_unprocessed(baseline: Any) -> Any:
    """Elements beyond the last whole block are not computed (ELS-RD/kernl#73: lengths had to be whole blocks)."""
    return replace(baseline, sigmoid=tail_dropped(baseline.sigmoid))


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype == torch.float64 else x.float()


MUTANTS = {
    "overflows": overflows,
    "hard_sigmoid": hard_sigmoid,
    "half_angle_missing": half_angle_missing,
    "sign_wrong": sign_wrong,
    "tail_left_unprocessed": tail_left_unprocessed,
}
