"""Ops that lose, invent or spread NaN and infinities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace

Op = Callable[..., Tensor]


@mutant
def nonfinite_zeroed(baseline: Any) -> Any:
    """What is not finite is replaced by 0 on the way out, and a diverged run shows a clean curve
    (T7: huggingface/trl#6702)."""
    return _each(baseline, lambda op: lambda *args, **options: torch.nan_to_num(op(*args, **options), 0.0, 0.0, 0.0))


@mutant
def nan_lost_in_comparison(baseline: Any) -> Any:
    """A clamp by comparison: NaN is not larger than the bound, so the bound is taken (apache/mxnet#11115)."""

    def wrap(op: Op) -> Op:
        def clamped(*args: Any, **options: Any) -> Tensor:
            floors = [torch.finfo(a.dtype).min if isinstance(a, Tensor) else 0 for a in args]
            return op(
                *(
                    torch.where(a > low, a, low) if isinstance(a, Tensor) else a
                    for a, low in zip(args, floors, strict=True)
                ),
                **options,
            )

        return clamped

    return _each(baseline, wrap)


@mutant
def padding_masked_by_product(baseline: Any) -> Any:
    """Lanes past a row's end read the next row and are multiplied by 0, but 0 * NaN is NaN
    (flashinfer-ai/flashinfer#358, NVIDIA-NeMo/Megatron-Bridge#3117)."""

    def wrap(op: Op) -> Op:
        def leaking(x: Tensor, *rest: Any, **options: Any) -> Tensor:
            lanes = torch.roll(rest[-1] if x.ndim == 4 else x, -1, dims=0)  # attention pads its values
            leak = lanes.flatten(1).sum(-1) * 0
            return op(x, *rest, **options) + leak.reshape(-1, *[1] * (x.ndim - 1))

        return leaking

    return _each(baseline, wrap)


@mutant
def maximum_by_comparison(baseline: Any) -> Any:
    """x > 0 ? x : 0, which turns NaN into 0 (pytorch/pytorch#7999, apache/mxnet#11115)."""

    def relu(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, torch.zeros_like(x))

    return replace(baseline, relu=relu)


@mutant
def branch_masked_by_product(baseline: Any) -> Any:
    """Both branches are computed and multiplied by their masks: Inf * 0 is NaN on the branch not taken
    (pytorch/pytorch#68425)."""

    def relu(x: Tensor) -> Tensor:
        return x * (x > 0)

    def elu(x: Tensor, alpha: float) -> Tensor:
        wide = x.float()
        return ((wide > 0) * wide + (wide <= 0) * alpha * torch.expm1(wide)).to(x.dtype)

    return replace(baseline, relu=relu, elu=elu)


@mutant
def exponential_overflows(baseline: Any) -> Any:
    """The sigmoid as exp(x) / (1 + exp(x)), NaN once exp overflows (clab/dynet#1525)."""

    def sigmoid(x: Tensor) -> Tensor:
        e = torch.exp(x)
        return e / (1 + e)

    def silu(x: Tensor) -> Tensor:
        return (x.float() * sigmoid(x.float())).to(x.dtype)

    def gelu_tanh(x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * sigmoid(1.5957691216 * (wide + 0.044715 * wide**3))).to(x.dtype)

    def swiglu(gate: Tensor, up: Tensor) -> Tensor:
        return silu(gate) * up

    return replace(baseline, silu=silu, gelu_tanh=gelu_tanh, swiglu=swiglu)


@mutant
def eps_in_16_bits(baseline: Any) -> Any:
    """eps is rounded to the input's type: 1e-12 is 0 in float16, and a row of zeros becomes 0 / 0
    (pytorch/pytorch#41527, deepspeedai/DeepSpeed#581)."""

    def rounded(eps: float, x: Tensor) -> float:
        return float(torch.tensor(eps, dtype=x.dtype))

    def rmsnorm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
        return baseline.rmsnorm(x, weight, rounded(eps, x))

    def layernorm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        return baseline.layernorm(x, weight, bias, rounded(eps, x))

    def l2norm(x: Tensor, eps: float) -> Tensor:
        return baseline.l2norm(x, rounded(eps, x))

    return replace(baseline, rmsnorm=rmsnorm, layernorm=layernorm, l2norm=l2norm)


@mutant
def variance_of_overflowed_squares(baseline: Any) -> Any:
    """E[x^2] - E[x]^2 in the input's 16 bits: Inf - Inf (pytorch/pytorch#66707)."""

    def layernorm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        mean = x.mean(-1, keepdim=True)
        variance = (x * x).mean(-1, keepdim=True) - (x.sum(-1, keepdim=True) ** 2) / x.shape[-1] ** 2
        return ((x - mean) * torch.rsqrt(variance.float() + eps) * weight + bias).to(x.dtype)

    return replace(baseline, layernorm=layernorm)


@mutant
def nan_row_taken_for_masked(baseline: Any) -> Any:
    """A row whose maximum is not above -Inf counts as fully masked and becomes 0, a NaN row too
    (intel/torch-xpu-ops#5022)."""

    def softmax(x: Tensor) -> Tensor:
        seen = x.amax(-1, keepdim=True) > float("-inf")
        return torch.where(seen, baseline.softmax(x), torch.zeros_like(x))

    return replace(baseline, softmax=softmax)


@mutant
def scores_in_16_bits(baseline: Any) -> Any:
    """q k^T is kept in float16, above 65504 it is Inf, and Inf - Inf is NaN (huggingface/transformers#28163)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, offset: int = 0) -> Tensor:
        group = q.shape[1] // k.shape[1]
        scores = q.half() @ k.half().repeat_interleave(group, dim=1).transpose(-1, -2)
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(offset + 1)
        weights = torch.softmax(scores.float().mul(q.shape[-1] ** -0.5).masked_fill(hidden, float("-inf")), -1)
        return (weights @ v.float().repeat_interleave(group, dim=1)).to(q.dtype)

    return replace(baseline, attention=attention)


def _each(baseline: Any, wrap: Callable[[Op], Op]) -> Any:
    return replace(baseline, **{op: wrap(getattr(baseline, op)) for op in OPS})


OPS = (
    "gelu",
    "gelu_tanh",
    "silu",
    "swiglu",
    "relu",
    "leaky_relu",
    "elu",
    "sigmoid",
    "tanh",
    "rmsnorm",
    "layernorm",
    "l2norm",
    "softmax",
    "attention",
)
