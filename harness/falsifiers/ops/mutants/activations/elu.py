"""ELUs that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace


@mutant
def alpha_ignored(baseline: Any) -> Any:
    """alpha is not read and 1 runs (phlippe/uvadlc_notebooks#161)."""

    def elu(x: torch.Tensor, alpha: float) -> torch.Tensor:
        return baseline.elu(x, 1.0)

    return replace(baseline, elu=elu)


@mutant
def celu_for_elu(baseline: Any) -> Any:
    """alpha divides the exponent too, as in CELU (arXiv:1704.07483)."""

    def elu(x: torch.Tensor, alpha: float) -> torch.Tensor:
        return torch.nn.functional.celu(x, alpha)

    return replace(baseline, elu=elu)


@mutant
def one_not_scaled(baseline: Any) -> Any:
    """alpha * exp(x) - 1: alpha multiplies the exponential alone.
    Synthetic: a pair of brackets is left out, which alpha = 1 does not show."""

    def elu(x: torch.Tensor, alpha: float) -> torch.Tensor:
        wide = widened(x)
        return torch.where(wide > 0, wide, alpha * torch.exp(wide.clamp(max=0)) - 1).to(x.dtype)

    return replace(baseline, elu=elu)


@mutant
def cancellation_near_zero(baseline: Any) -> Any:
    """exp(x) - 1 as written, which is 0 for small x (jax-ml/jax#1207, ggml-org/ggml#1515)."""

    def elu(x: torch.Tensor, alpha: float) -> torch.Tensor:
        wide = widened(x)
        return torch.where(wide > 0, wide, alpha * (torch.exp(wide.clamp(max=0)) - 1)).to(x.dtype)

    return replace(baseline, elu=elu)
