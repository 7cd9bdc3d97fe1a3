"""Leaky ReLUs that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace


@mutant
def slope_ignored(baseline: Any) -> Any:
    """The slope is not read and the default 0.01 runs (alibaba/heterogeneity-aware-lowering-and-optimization#137)."""

    def leaky_relu(x: torch.Tensor, slope: float) -> torch.Tensor:
        return baseline.leaky_relu(x, 0.01)

    return replace(baseline, leaky_relu=leaky_relu)


@mutant
def larger_of_both(baseline: Any) -> Any:
    """max(x, slope * x), wrong for a slope above 1 (tensorflow/tensorflow#24566, PaddlePaddle/Paddle#26216)."""

    def leaky_relu(x: torch.Tensor, slope: float) -> torch.Tensor:
        wide = widened(x)
        return torch.maximum(wide, slope * wide).to(x.dtype)

    return replace(baseline, leaky_relu=leaky_relu)


@mutant
def slope_of_another_framework(baseline: Any) -> Any:
    """0.3, the default of Keras, for the model's own (Dobiasd/frugally-deep#446)."""

    def leaky_relu(x: torch.Tensor, slope: float) -> torch.Tensor:
        return baseline.leaky_relu(x, 0.3)

    return replace(baseline, leaky_relu=leaky_relu)


@mutant
def negative_part_flipped(baseline: Any) -> Any:
    """The slope with the wrong sign: slope * |x| below zero.
    Synthetic: "negative slope" is read as a slope that is negative."""

    def leaky_relu(x: torch.Tensor, slope: float) -> torch.Tensor:
        return baseline.leaky_relu(x, -slope)

    return replace(baseline, leaky_relu=leaky_relu)
