"""SiLUs that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace


@mutant
def sign_wrong(baseline: Any) -> Any:
    """exp(x) for exp(-x) in the denominator: x * sigmoid(-x).
    Synthetic: the sigmoid is written out in the kernel, and one minus sign is lost."""

    def silu(x: torch.Tensor) -> torch.Tensor:
        wide = widened(x)
        return (wide * torch.sigmoid(-wide)).to(x.dtype)

    return replace(baseline, silu=silu)


@mutant
def beta_of_quick_gelu(baseline: Any) -> Any:
    """Swish with the 1.702 of the quick GELU (its constant was 1.773 in ml-explore/mlx#744)."""

    def silu(x: torch.Tensor) -> torch.Tensor:
        wide = widened(x)
        return (wide * torch.sigmoid(1.702 * wide)).to(x.dtype)

    return replace(baseline, silu=silu)


@mutant
def hard_swish(baseline: Any) -> Any:
    """x * relu6(x + 3) / 6, the piecewise stand-in of arXiv:1905.02244, for the function itself."""

    def silu(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.hardswish(x)

    return replace(baseline, silu=silu)


@mutant
def factor_missing(baseline: Any) -> Any:
    """The sigmoid alone, without the x before it.
    Synthetic: SiLU is called the sigmoid-weighted unit, and the weight alone is returned."""

    def silu(x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(x)

    return replace(baseline, silu=silu)
