"""GELUs by erf that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.falsifiers.ops.mutants.activations.tail import tail_dropped
from harness.mutant import replace


def tanh_for_erf(baseline: Any) -> Any:
    """The tanh approximation where the model says erf, at most 4.7e-4 off (kyutai-labs/pocket-tts#278)."""

    def gelu(x: torch.Tensor) -> torch.Tensor:
        return baseline.gelu_tanh(x)

    return replace(baseline, gelu=gelu)


def sigmoid_for_erf(baseline: Any) -> Any:
    """x * sigmoid(1.702 x), the quick GELU, where the model says erf (arXiv:1606.08415, section 2)."""

    def gelu(x: torch.Tensor) -> torch.Tensor:
        wide = _wide(x)
        return (wide * torch.sigmoid(1.702 * wide)).to(x.dtype)

    return replace(baseline, gelu=gelu)


def half_missing(baseline: Any) -> Any:
    """x * (1 + erf(x / sqrt 2)) without its half: erf taken for the distribution function.
    Synthetic: erf runs from -1 to 1, and the half that turns it into a probability is easily left out."""

    def gelu(x: torch.Tensor) -> torch.Tensor:
        return baseline.gelu(x) * 2

    return replace(baseline, gelu=gelu)


def sqrt2_missing(baseline: Any) -> Any:
    """erf(x) for erf(x / sqrt 2): the error function is not the normal distribution's.
    Synthetic: erf is often taken for the normal distribution's integral, which differs by this factor."""

    def gelu(x: torch.Tensor) -> torch.Tensor:
        wide = _wide(x)
        return (0.5 * wide * (1 + torch.erf(wide))).to(x.dtype)

    return replace(baseline, gelu=gelu)


def tail_left_unprocessed(baseline: Any) -> Any:
    """Elements beyond the last whole block are not computed (ELS-RD/kernl#73: lengths had to be whole blocks)."""
    return replace(baseline, gelu=tail_dropped(baseline.gelu))


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype == torch.float64 else x.float()


MUTANTS = {
    "tanh_for_erf": tanh_for_erf,
    "sigmoid_for_erf": sigmoid_for_erf,
    "half_missing": half_missing,
    "sqrt2_missing": sqrt2_missing,
    "tail_left_unprocessed": tail_left_unprocessed,
}
