"""GELUs by erf that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace


@mutant
def tanh_for_erf(baseline: Any) -> Any:
    """The tanh approximation where the model says erf, at most 4.7e-4 off (kyutai-labs/pocket-tts#278)."""

    def gelu(x: torch.Tensor) -> torch.Tensor:
        return baseline.gelu_tanh(x)

    return replace(baseline, gelu=gelu)


@mutant
def sigmoid_for_erf(baseline: Any) -> Any:
    """x * sigmoid(1.702 x), the quick GELU, where the model says erf (arXiv:1606.08415, section 2)."""

    def gelu(x: torch.Tensor) -> torch.Tensor:
        wide = widened(x)
        return (wide * torch.sigmoid(1.702 * wide)).to(x.dtype)

    return replace(baseline, gelu=gelu)


@mutant
def half_missing(baseline: Any) -> Any:
    """x * (1 + erf(x / sqrt 2)) without its half: erf taken for the distribution function.
    Synthetic: erf runs from -1 to 1, and the half that turns it into a probability is easily left out."""

    def gelu(x: torch.Tensor) -> torch.Tensor:
        return baseline.gelu(x) * 2

    return replace(baseline, gelu=gelu)


@mutant
def sqrt2_missing(baseline: Any) -> Any:
    """erf(x) for erf(x / sqrt 2): the error function is not the normal distribution's.
    Synthetic: erf is often taken for the normal distribution's integral, which differs by this factor."""

    def gelu(x: torch.Tensor) -> torch.Tensor:
        wide = widened(x)
        return (0.5 * wide * (1 + torch.erf(wide))).to(x.dtype)

    return replace(baseline, gelu=gelu)
