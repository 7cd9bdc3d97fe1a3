"""Backward passes of norms that were written wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace


@mutant
def rmsnorm_gain_divided(baseline: Any) -> Any:
    """dweight = sum of dout * out / weight, without a guard: 0/0 where the gain is 0 (systems A2)."""

    def rmsnorm_backward(dout: Tensor, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        dx, _ = baseline.rmsnorm_backward(dout, x, weight, eps)
        out = _normalised(x, eps) * widened(weight)
        return dx, (_columns(widened(dout) * out) / widened(weight)).to(weight.dtype)

    return replace(baseline, rmsnorm_backward=rmsnorm_backward)


@mutant
def rmsnorm_zero_gain_frozen(baseline: Any) -> Any:
    """The division by the gain is guarded, and a gain of 0 never learns (systems A2)."""

    def rmsnorm_backward(dout: Tensor, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        dx, dweight = baseline.rmsnorm_backward(dout, x, weight, eps)
        return dx, dweight.where(weight != 0, 0)

    return replace(baseline, rmsnorm_backward=rmsnorm_backward)


@mutant
def rmsnorm_projection_missing(baseline: Any) -> Any:
    """dx = dout * weight / rms: the root mean square is taken for a constant (ooples/AiDotNet#695)."""

    def rmsnorm_backward(dout: Tensor, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        _, dweight = baseline.rmsnorm_backward(dout, x, weight, eps)
        return (widened(dout) * widened(weight) * _inverse_rms(x, eps)).to(x.dtype), dweight

    return replace(baseline, rmsnorm_backward=rmsnorm_backward)


@mutant
def rmsnorm_eps_ignored(baseline: Any) -> Any:
    """The backward computes the root mean square again, and without eps (as N1: ggml-org/llama.cpp#2373)."""

    def rmsnorm_backward(dout: Tensor, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        return baseline.rmsnorm_backward(dout, x, weight, 0.0)

    return replace(baseline, rmsnorm_backward=rmsnorm_backward)


@mutant
def rmsnorm_gain_gradient_of_raw_x(baseline: Any) -> Any:
    """dweight = sum of dout * x: the cached input is not normalised.
    Synthetic: the forward caches x and 1 / rms, and the product of the two is forgotten."""

    def rmsnorm_backward(dout: Tensor, x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        dx, _ = baseline.rmsnorm_backward(dout, x, weight, eps)
        return dx, _columns(widened(dout) * widened(x)).to(weight.dtype)

    return replace(baseline, rmsnorm_backward=rmsnorm_backward)


@mutant
def layernorm_mean_missing(baseline: Any) -> Any:
    """dx without the term mean(dout * weight): RMSNorm's backward on a LayerNorm (systems C2)."""

    def layernorm_backward(dout: Tensor, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        _, dweight, dbias = baseline.layernorm_backward(dout, x, weight, bias, eps)
        n, inverse = _standardised(x, eps)
        dn = widened(dout) * widened(weight)
        return (inverse * (dn - n * (n * dn).mean(-1, keepdim=True))).to(x.dtype), dweight, dbias

    return replace(baseline, layernorm_backward=layernorm_backward)


@mutant
def layernorm_variance_missing(baseline: Any) -> Any:
    """dx without the term n * mean(n * dout * weight): the variance is taken for a constant.
    Synthetic: of the two terms beside dout the mean's is the better known."""

    def layernorm_backward(dout: Tensor, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        _, dweight, dbias = baseline.layernorm_backward(dout, x, weight, bias, eps)
        _, inverse = _standardised(x, eps)
        dn = widened(dout) * widened(weight)
        return (inverse * (dn - dn.mean(-1, keepdim=True))).to(x.dtype), dweight, dbias

    return replace(baseline, layernorm_backward=layernorm_backward)


@mutant
def layernorm_gain_after_the_terms(baseline: Any) -> Any:
    """The weight multiplies dx at the end, where it belongs into the means.
    Synthetic: the normalisation's backward is written first, and the gain is added around it."""

    def layernorm_backward(dout: Tensor, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        _, dweight, dbias = baseline.layernorm_backward(dout, x, weight, bias, eps)
        dx, _, _ = baseline.layernorm_backward(dout, x, torch.ones_like(weight), bias, eps)
        return dx * weight, dweight, dbias

    return replace(baseline, layernorm_backward=layernorm_backward)


@mutant
def layernorm_bias_gradient_of_last_row(baseline: Any) -> Any:
    """dbias is overwritten row by row, where it should add up.
    Synthetic: the loop over rows stores with = where += is meant."""

    def layernorm_backward(dout: Tensor, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        dx, dweight, _ = baseline.layernorm_backward(dout, x, weight, bias, eps)
        return dx, dweight, dout[-1].clone()

    return replace(baseline, layernorm_backward=layernorm_backward)


@mutant
def l2norm_projection_missing(baseline: Any) -> Any:
    """dx = dout / length: the length is taken for a constant.
    Synthetic: x / length is differentiated as if the length did not depend on x."""

    def l2norm_backward(dout: Tensor, x: Tensor, eps: float) -> Tensor:
        return (widened(dout) * torch.rsqrt(widened(x).square().sum(-1, keepdim=True) + eps)).to(x.dtype)

    return replace(baseline, l2norm_backward=l2norm_backward)


@mutant
def l2norm_eps_ignored(baseline: Any) -> Any:
    """The backward computes the length again, and without eps.
    Synthetic: eps is an argument of the forward, and rows of ordinary length do not show it."""
    return replace(baseline, l2norm_backward=lambda dout, x, eps: baseline.l2norm_backward(dout, x, 0.0))


def _normalised(x: Tensor, eps: float) -> Tensor:
    return widened(x) * _inverse_rms(x, eps)


def _inverse_rms(x: Tensor, eps: float) -> Tensor:
    return torch.rsqrt(widened(x).square().mean(-1, keepdim=True) + eps)


def _standardised(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    centred = widened(x) - widened(x).mean(-1, keepdim=True)
    inverse = torch.rsqrt(centred.square().mean(-1, keepdim=True) + eps)
    return centred * inverse, inverse


def _columns(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1]).sum(dim=0)
