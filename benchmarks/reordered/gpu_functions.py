"""Functions as a GPU computes them: exp through exp2, online softmax, reciprocals, approximate intrinsics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.reference.ops.rope import rope_frequencies
from reordered.gpu_sums import accumulator

LOG2E = 1 / math.log(2)
SINE_ERROR = 2**-21.19
"""Largest absolute error of __sinf and __cosf within [-pi, pi] (CUDA programming guide, intrinsic functions)."""
Function = Callable[..., Tensor]


def off_by(y: Tensor, ulps: Tensor | float) -> Tensor:
    """y moved by up to `ulps` units in the last place, by an amount that depends on its bits alone (float32)."""
    if y.dtype != torch.float32:
        return y
    bits = y.contiguous().view(torch.int32)
    moved = (bits + (_share(bits) * ulps).round().to(torch.int32)).view(torch.float32)
    return torch.where(torch.isfinite(y) & torch.isfinite(moved) & (y != 0), moved, y)


def _share(bits: Tensor) -> Tensor:
    """A number in [-1, 1] for each bit pattern; neighbours get unrelated ones."""
    mixed = (bits.long() * 0x9E3779B1) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 0x85EBCA6B) & 0xFFFFFFFF
    return (mixed >> 8).double() / (1 << 23) - 1


def exp_by_exp2(x: Tensor) -> Tensor:
    """exp2(x log2 e), the product rounded: what flash attention and compiled kernels use."""
    return torch.exp2(x * LOG2E)


def fast_exp(x: Tensor) -> Tensor:
    """__expf: at most 2 + floor(|1.173 x|) ulp (CUDA programming guide)."""
    return off_by(torch.exp(x), 2 + (1.173 * x.abs()).nan_to_num(posinf=0).floor())


def fast_log(x: Tensor) -> Tensor:
    """__logf: 2**-21.41 absolute in [0.5, 2], 3 ulp elsewhere."""
    y = torch.log(x)
    if y.dtype != torch.float32:
        return y
    near = y + (_share(y.contiguous().view(torch.int32)) * 2**-21.41).float()
    return torch.where((x >= 0.5) & (x <= 2), near, off_by(y, 3))


def fast_turn(function: Function) -> Function:
    """__sinf or __cosf after a reduction to [-pi, pi]: an absolute error of up to 2**-21.19."""

    def turned(x: Tensor) -> Tensor:
        y = function(x)
        return y if y.dtype != torch.float32 else y + (_share(x.contiguous().view(torch.int32)) * SINE_ERROR).float()

    return turned


def within(function: Function, ulps: float) -> Function:
    """A function of CUDA's math library, with its documented largest error."""
    return lambda x: off_by(function(x), ulps)


def polar_by(cos: Function, sin: Function) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda size, angle: torch.complex(size * cos(angle), size * sin(angle))


def rope(
    x: Tensor,
    positions: Tensor,
    *,
    theta: float,
    interleaved: bool = False,
    rotary_dim: int | None = None,
    **options: Any,
) -> Tensor:
    """Rotation in float32 from float32 frequencies and angles, with sine and cosine of the moment."""
    size = rotary_dim or x.shape[-1]
    frequencies, factor = rope_frequencies(size, theta, options.get("scaling"))
    angles = positions.to(torch.float32)[:, None] * torch.from_numpy(frequencies).float()
    cos, sin = torch.cos(angles) * factor, torch.sin(angles) * factor
    wide = x[..., :size].float()
    first, second = (wide[..., 0::2], wide[..., 1::2]) if interleaved else wide.chunk(2, dim=-1)
    turned = [first * cos - second * sin, first * sin + second * cos]
    back = torch.stack(turned, dim=-1).flatten(-2) if interleaved else torch.cat(turned, dim=-1)
    return torch.cat([back.to(x.dtype), x[..., size:]], dim=-1)


def rope_backward(dout: Tensor, x: Tensor, positions: Tensor, **options: Any) -> tuple[Tensor]:
    """The rotation by the negative positions."""
    return (rope(dout, -positions, **options),)


def quotient(a: Any, b: Any) -> Tensor:
    """a times the rounded reciprocal of b."""
    if not torch.is_tensor(b):
        return a * torch.tensor(1 / b, dtype=accumulator(a)).item()
    if not (a.is_floating_point() if torch.is_tensor(a) else True) or not b.is_floating_point():
        return a / b
    # A denormal b has no finite reciprocal, a huge one a denormal one; kernels divide such numbers properly.
    usual = (b.abs() > 2.0**-120) & (b.abs() < 2.0**120)
    return torch.where(usual, a * b.reciprocal(), a / b)


def fast_rsqrt(x: Tensor) -> Tensor:
    """rsqrt.approx: at most 2 ulp."""
    return off_by(torch.rsqrt(x), 2)


def root(x: Tensor) -> Tensor:
    """x rsqrt(x), with 2 ulp in the second factor."""
    return torch.where((x > 0) & torch.isfinite(x), x * fast_rsqrt(x), torch.sqrt(x))


def sigmoid_by(exp: Function, divide: Function) -> Function:
    return lambda x: divide(torch.ones_like(x), 1 + exp(-x))


def softmax_by(exp: Function, total: Function, divide: Function) -> Function:
    """Softmax along one axis. A row of -inf alone gives NaN, as torch's does."""

    def softmax(x: Tensor, axis: int) -> Tensor:
        weights = exp(x - x.amax(dim=axis, keepdim=True))
        return divide(weights, total(weights, (axis,), True))

    return softmax


def online_softmax(x: Tensor, axis: int, block: int = 64) -> Tensor:
    """One pass in blocks: the sum is rescaled by exp2 whenever the running maximum rises."""
    top = torch.full_like(x.narrow(axis, 0, 1), -math.inf)
    total = torch.zeros_like(top)
    for part in x.split(block, dim=axis):
        new = torch.maximum(top, part.amax(dim=axis, keepdim=True))
        base = torch.where(new == -math.inf, torch.zeros_like(new), new)  # -inf - -inf is NaN: all masked so far
        kept = torch.where(top == new, torch.ones_like(top), exp_by_exp2(top - base))
        total, top = total * kept + exp_by_exp2(part - base).sum(dim=axis, keepdim=True), new
    return exp_by_exp2(x - top) / total


def flash_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor, scale: float | None = None, **_: Any
) -> Tensor:
    """Blocks of 64 keys, exp2, sums rescaled online, weights in the input's own type before they meet the values."""
    group = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
    wide = accumulator(query)
    scores = query.to(wide) @ key.to(wide).mT * ((query.shape[-1] ** -0.5 if scale is None else scale) * LOG2E)
    scores = scores.masked_fill(~attn_mask, -math.inf)
    top = torch.full_like(scores[..., :1], -math.inf)
    total, out = torch.zeros_like(top), torch.zeros(*query.shape[:3], value.shape[3], dtype=wide)
    for part, values in zip(scores.split(64, dim=-1), value.to(wide).split(64, dim=-2), strict=True):
        new = torch.maximum(top, part.amax(dim=-1, keepdim=True))
        base = torch.where(new == -math.inf, torch.zeros_like(new), new)
        weights, kept = torch.exp2(part - base), torch.exp2(top - base)
        total = total * kept + weights.sum(dim=-1, keepdim=True)
        out, top = out * kept + weights.to(query.dtype).to(wide) @ values, new
    return (out / total).to(query.dtype)
