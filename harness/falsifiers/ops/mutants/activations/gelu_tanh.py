"""GELUs by tanh that were shipped wrong."""

from __future__ import annotations

import math
from typing import Any

import torch

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace


@mutant
def erf_for_tanh(baseline: Any) -> Any:
    """The keyword that asks for tanh is dropped and erf runs (apple/coremltools#2863)."""

    def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
        return baseline.gelu(x)

    return replace(baseline, gelu_tanh=gelu_tanh)


@mutant
def silu_for_gelu(baseline: Any) -> Any:
    """SiLU hard-coded in a model of GELU by tanh (huggingface/candle#3745)."""

    def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
        return baseline.silu(x)

    return replace(baseline, gelu_tanh=gelu_tanh)


@mutant
def cubic_constant_tenth(baseline: Any) -> Any:
    """0.0044715 for 0.044715: a zero too many in the cubic term.
    Synthetic: the constant is typed by hand into every port, and near 0 the cubic term is small."""

    def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
        return _by_tanh(x, 0.0044715, math.sqrt(2 / math.pi))

    return replace(baseline, gelu_tanh=gelu_tanh)


@mutant
def sqrt_missing(baseline: Any) -> Any:
    """2 / pi for its square root.
    Synthetic: the constant is often typed as a number, and 0.637 looks as good as 0.798."""

    def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
        return _by_tanh(x, 0.044715, 2 / math.pi)

    return replace(baseline, gelu_tanh=gelu_tanh)


@mutant
def half_missing(baseline: Any) -> Any:
    """x * (1 + tanh(u)) without its half.
    Synthetic: the half stands alone at the formula's head and is lost where its terms are reordered."""

    def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
        return baseline.gelu_tanh(x) * 2

    return replace(baseline, gelu_tanh=gelu_tanh)


def _by_tanh(x: torch.Tensor, cubic: float, scale: float) -> torch.Tensor:
    wide = widened(x)
    return (0.5 * wide * (1 + torch.tanh(scale * (wide + cubic * wide**3)))).to(x.dtype)
