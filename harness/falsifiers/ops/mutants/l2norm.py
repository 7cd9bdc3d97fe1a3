"""L2 normalisations that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.mutant import mutant, replace

BLOCK = 128


@mutant
def root_missing(baseline: Any) -> Any:
    """x / (sum(x^2) + eps): the length without its root (PaddlePaddle/Paddle#11345)."""

    def l2norm(x: torch.Tensor, eps: float) -> torch.Tensor:
        return (x.double() / (_sum(x) + eps)).to(x.dtype)

    return replace(baseline, l2norm=l2norm)


@mutant
def eps_ignored(baseline: Any) -> Any:
    """x / length: an operator without eps stands in for the sum with it (microsoft/onnxruntime-genai#2127)."""

    def l2norm(x: torch.Tensor, eps: float) -> torch.Tensor:
        return baseline.l2norm(x, 0.0)

    return replace(baseline, l2norm=l2norm)


@mutant
def eps_outside_sqrt(baseline: Any) -> Any:
    """x / (length + eps) (sgl-project/sglang#10466, in the gated delta rule)."""

    def l2norm(x: torch.Tensor, eps: float) -> torch.Tensor:
        return (x.double() / (_sum(x).sqrt() + eps)).to(x.dtype)

    return replace(baseline, l2norm=l2norm)


@mutant
def length_clamped_at_eps(baseline: Any) -> Any:
    """torch.nn.functional.normalize, x / max(length, eps), for the sum with eps (huggingface/transformers#40842)."""

    def l2norm(x: torch.Tensor, eps: float) -> torch.Tensor:
        return torch.nn.functional.normalize(x.double(), dim=-1, eps=eps).to(x.dtype)

    return replace(baseline, l2norm=l2norm)


@mutant
def mean_for_sum(baseline: Any) -> Any:
    """RMS for length: rows of length sqrt(C), and the delta rule diverges (1bit-MONSTER/1bit-MONSTER#2134)."""

    def l2norm(x: torch.Tensor, eps: float) -> torch.Tensor:
        return (x.double() * torch.rsqrt(_sum(x) / x.shape[-1] + eps)).to(x.dtype)

    return replace(baseline, l2norm=l2norm)


@mutant
def max_for_sum(baseline: Any) -> Any:
    """The largest square for the sum of squares: the maximum norm.
    Synthetic: a reduction is named by a string or an enum, and the wrong one still returns a length."""

    def l2norm(x: torch.Tensor, eps: float) -> torch.Tensor:
        wide = x.double()
        return (wide * torch.rsqrt(wide.square().amax(-1, keepdim=True) + eps)).to(x.dtype)

    return replace(baseline, l2norm=l2norm)


@mutant
def wrong_axis(baseline: Any) -> Any:
    """The sum runs over the rows instead of along them (gabeur/mmt#1)."""

    def l2norm(x: torch.Tensor, eps: float) -> torch.Tensor:
        wide = x.double()
        return (wide * torch.rsqrt(wide.square().sum(0, keepdim=True) + eps)).to(x.dtype)

    return replace(baseline, l2norm=l2norm)


@mutant
def tail_block_dropped(baseline: Any) -> Any:
    """Only whole blocks of the row enter the sum (ELS-RD/kernl#73: lengths had to be whole blocks)."""

    def l2norm(x: torch.Tensor, eps: float) -> torch.Tensor:
        seen = x[..., : x.shape[-1] // BLOCK * BLOCK or x.shape[-1]]
        return (x.double() * torch.rsqrt(_sum(seen) + eps)).to(x.dtype)

    return replace(baseline, l2norm=l2norm)


@mutant
def squares_in_16_bits(baseline: Any) -> Any:
    """x^2 is kept in the input's 16 bits: above 256 it overflows float16 and the row becomes 0
    (pytorch/pytorch#133085, for RMSNorm)."""

    def l2norm(x: torch.Tensor, eps: float) -> torch.Tensor:
        total = x.square().double().sum(-1, keepdim=True)
        return (x.double() * torch.rsqrt(total + eps)).to(x.dtype)

    return replace(baseline, l2norm=l2norm)


def _sum(x: torch.Tensor) -> torch.Tensor:
    return x.double().square().sum(-1, keepdim=True)
