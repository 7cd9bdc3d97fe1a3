"""Hyperbolic tangents that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace


@mutant
def overflows(baseline: Any) -> Any:
    """(exp(2x) - 1) / (exp(2x) + 1), NaN once exp overflows (deeplearning4j/deeplearning4j#7382, BVLC/caffe#1455)."""

    def tanh(x: torch.Tensor) -> torch.Tensor:
        e = torch.exp(2 * widened(x))
        return ((e - 1) / (e + 1)).to(x.dtype)

    return replace(baseline, tanh=tanh)


@mutant
def cancellation_near_zero(baseline: Any) -> Any:
    """1 - 2 / (exp(2x) + 1), which saturates right and is 0 for small x (the repair in ROCm/triton#900)."""

    def tanh(x: torch.Tensor) -> torch.Tensor:
        e = torch.exp(2 * widened(x))
        return (1 - 2 / (e + 1)).to(x.dtype)

    return replace(baseline, tanh=tanh)


@mutant
def hard_tanh(baseline: Any) -> Any:
    """x clipped to [-1, 1]. Synthetic: quantised graphs carry a clip in tanh's place, with the same range."""

    def tanh(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.hardtanh(x)

    return replace(baseline, tanh=tanh)


@mutant
def pade_approximant(baseline: Any) -> Any:
    """x (27 + x^2) / (27 + 9 x^2), clipped: the fast tanh of audio and games.
    Synthetic: the formula is copied for its speed, and its error is below what a plot shows."""

    def tanh(x: torch.Tensor) -> torch.Tensor:
        wide = widened(x).clamp(-3, 3)
        return (wide * (27 + wide.square()) / (27 + 9 * wide.square())).to(x.dtype)

    return replace(baseline, tanh=tanh)


@mutant
def factor_two_missing(baseline: Any) -> Any:
    """2 * sigmoid(x) - 1 for 2 * sigmoid(2 x) - 1.
    Synthetic: tanh is built from a sigmoid kernel, and the inner 2 is forgotten."""

    def tanh(x: torch.Tensor) -> torch.Tensor:
        wide = widened(x)
        return torch.tanh(wide / 2).to(x.dtype)

    return replace(baseline, tanh=tanh)
