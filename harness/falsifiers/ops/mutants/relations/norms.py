"""Norms and softmax that are right for the usual widths, levels and eps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace

BLOCK = 32
LEAST_EPS = 1e-6


@mutant
def tail_not_summed(baseline: Any) -> Any:
    """Sums along a row leave out what lies beyond the last whole block of 32. Synthetic: the widths of published models
    are whole blocks, which never reach the tail; the columns themselves are all written."""

    def rmsnorm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = widened(x)
        rms = torch.sqrt(wide[..., : _whole(x)].square().mean(-1, keepdim=True) + eps)
        return (wide / rms * widened(weight)).to(x.dtype)

    def layernorm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        wide = widened(x)
        centred = wide - wide[..., : _whole(x)].mean(-1, keepdim=True)
        deviation = torch.sqrt(centred[..., : _whole(x)].square().mean(-1, keepdim=True) + eps)
        return (centred / deviation * widened(weight) + widened(bias)).to(x.dtype)

    def l2norm(x: Tensor, eps: float) -> Tensor:
        wide = widened(x)
        return (wide / torch.sqrt(wide[..., : _whole(x)].square().sum(-1, keepdim=True) + eps)).to(x.dtype)

    def softmax(x: Tensor) -> Tensor:
        powers = torch.exp(widened(x) - widened(x).amax(-1, keepdim=True))
        return (powers / powers[..., : _whole(x)].sum(-1, keepdim=True)).to(x.dtype)

    return replace(baseline, rmsnorm=rmsnorm, layernorm=layernorm, l2norm=l2norm, softmax=softmax)


@mutant
def eps_has_a_floor(baseline: Any) -> Any:
    """eps is raised to 1e-6 if it is smaller. Synthetic: a guard that no published config meets."""

    def rmsnorm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
        return baseline.rmsnorm(x, weight, max(eps, LEAST_EPS))

    def layernorm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        return baseline.layernorm(x, weight, bias, max(eps, LEAST_EPS))

    def l2norm(x: Tensor, eps: float) -> Tensor:
        return baseline.l2norm(x, max(eps, LEAST_EPS))

    return replace(baseline, rmsnorm=rmsnorm, layernorm=layernorm, l2norm=l2norm)


@mutant
def exponent_capped(baseline: Any) -> Any:
    """exp of numbers capped at 80 instead of exp of their distance from the maximum. Synthetic: it does not overflow,
    and a row below 80 is right."""

    def softmax(x: Tensor) -> Tensor:
        powers = torch.exp(widened(x).clamp(max=80))
        return (powers / powers.sum(-1, keepdim=True)).to(x.dtype)

    return replace(baseline, softmax=softmax)


def _whole(x: Tensor) -> int:
    """The columns of whole blocks; all, if there is no whole block."""
    return x.shape[-1] // BLOCK * BLOCK or x.shape[-1]
