"""LayerNorms that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace

BLOCK = 128


@mutant
def mean_not_subtracted(baseline: Any) -> Any:
    """RMSNorm with a bias where LayerNorm is meant.
    Synthetic: both norms share a kernel with a flag, and centred inputs do not show it."""

    def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        wide = widened(x)
        normalised = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        return (normalised * weight + bias).to(x.dtype)

    return replace(baseline, layernorm=layernorm)


@mutant
def unbiased_variance(baseline: Any) -> Any:
    """The sum of squares divided by C - 1 (FluxML/Flux.jl#529, LBANN/lbann#2024)."""

    def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        centred = _centred(x)
        variance = centred.square().sum(-1, keepdim=True) / max(x.shape[-1] - 1, 1)
        return (centred * torch.rsqrt(variance + eps) * weight + bias).to(x.dtype)

    return replace(baseline, layernorm=layernorm)


@mutant
def eps_outside_sqrt(baseline: Any) -> Any:
    """(x - mean) / (std + eps), as in the Annotated Transformer's own LayerNorm (codertimo/BERT-pytorch#30)."""

    def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        centred = _centred(x)
        std = centred.square().mean(-1, keepdim=True).sqrt()
        return (centred / (std + eps) * weight + bias).to(x.dtype)

    return replace(baseline, layernorm=layernorm)


def eps_hardcoded_1e_5(baseline: Any) -> Any:
    """A constant 1e-5, torch's default, where the model says otherwise (as NVIDIA/cutlass#1112 for RMSNorm)."""

    def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        return baseline.layernorm(x, weight, bias, 1e-5)

    return replace(baseline, layernorm=layernorm)


@mutant
def bias_dropped(baseline: Any) -> Any:
    """The bias is not uploaded (the story of D3 and C, for a norm)."""

    def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        return baseline.layernorm(x, weight, torch.zeros_like(bias), eps)

    return replace(baseline, layernorm=layernorm)


@mutant
def bias_before_gain(baseline: Any) -> Any:
    """(normalised + bias) * weight: the affine part in the wrong order.
    Synthetic: two lines change places, which a zero bias or a gain of 1 does not show."""

    def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        return baseline.layernorm(x, weight, bias * weight, eps)

    return replace(baseline, layernorm=layernorm)


@mutant
def tail_block_dropped(baseline: Any) -> Any:
    """Mean and variance from whole blocks of the row alone (ELS-RD/kernl#73: lengths had to be whole blocks)."""

    def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        wide = widened(x)
        seen = wide[..., : x.shape[-1] // BLOCK * BLOCK or x.shape[-1]]
        variance, mean = torch.var_mean(seen, -1, correction=0, keepdim=True)
        return ((wide - mean) * torch.rsqrt(variance + eps) * weight + bias).to(x.dtype)

    return replace(baseline, layernorm=layernorm)


@mutant
def variance_by_difference(baseline: Any) -> Any:
    """E[x^2] - E[x]^2 in float32, which cancels for a large mean (pytorch/pytorch#51102, tracel-ai/burn#5607)."""

    def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        wide = widened(x)
        mean = wide.mean(-1, keepdim=True)
        variance = (wide.square().mean(-1, keepdim=True) - mean.square()).clamp(min=0)
        return ((wide - mean) * torch.rsqrt(variance + eps) * weight + bias).to(x.dtype)

    return replace(baseline, layernorm=layernorm)


@mutant
def squares_in_16_bits(baseline: Any) -> Any:
    """(x - mean)^2 is kept in the input's 16 bits and overflows float16 (pytorch/pytorch#66707)."""

    def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
        centred = _centred(x)
        squares = centred.to(x.dtype).square().double()
        return (centred * torch.rsqrt(squares.mean(-1, keepdim=True) + eps) * weight + bias).to(x.dtype)

    return replace(baseline, layernorm=layernorm)


def _centred(x: torch.Tensor) -> torch.Tensor:
    wide = widened(x)
    return wide - wide.mean(-1, keepdim=True)


MUTANTS = {
    "eps_hardcoded_1e-5": eps_hardcoded_1e_5,
}
