"""Backward of the ops, written by hand: 16-bit inputs are computed in float32, each gradient is rounded once.

Every `<op>_backward(dout, *inputs)` computes what it needs of the forward again, and gives the gradients of its
floating inputs in input order. It takes and gives the shapes of its forward.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from harness.candidates.torch._width import widened
from harness.candidates.torch.ops._targets import counted_targets
from harness.candidates.torch.ops.rope import rope


def linear_backward(dout: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, ...]:
    """dx = dout W, dW = dout^T x, db = sum of dout. Shapes: dout (..., O) -> (..., I), (O, I), (O,) with a bias."""
    wide = widened(dout)
    dx = torch.einsum("...o,oi->...i", wide, widened(weight)).to(x.dtype)
    dweight = torch.einsum("...o,...i->oi", wide, widened(x)).to(weight.dtype)
    return (dx, dweight) if bias is None else (dx, dweight, wide.flatten(0, -2).sum(dim=0).to(bias.dtype))


def matmul_backward(dout: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """da = dout b^T, db = a^T dout. Shapes: dout (..., M, N) -> (..., M, K), (..., K, N)."""
    wide = widened(dout)
    da = torch.einsum("...mn,...kn->...mk", wide, widened(b)).to(a.dtype)
    return da, torch.einsum("...mk,...mn->...kn", widened(a), wide).to(b.dtype)


def embedding_backward(dout: Tensor, tokens: Tensor, weight: Tensor) -> tuple[Tensor]:
    """Adds up dout by id. Shapes: dout (..., C) -> (V, C)."""
    rows = widened(dout).reshape(-1, weight.shape[1])
    total = torch.zeros(weight.shape, dtype=rows.dtype, device=rows.device)
    return (total.index_add_(0, tokens.reshape(-1), rows).to(weight.dtype),)


def relu_backward(dout: Tensor, x: Tensor) -> tuple[Tensor]:
    """dout where x > 0, else 0."""
    return (dout.masked_fill(x <= 0, 0),)


def leaky_relu_backward(dout: Tensor, x: Tensor, slope: float) -> tuple[Tensor]:
    """dout where x > 0, else slope * dout."""
    return (torch.where(x > 0, dout, slope * widened(dout)).to(x.dtype),)


def elu_backward(dout: Tensor, x: Tensor, alpha: float) -> tuple[Tensor]:
    """dout where x > 0, else alpha * exp(x) * dout."""
    wide = widened(x)
    return ((widened(dout) * torch.where(x > 0, 1.0, alpha * torch.exp(wide.clamp(max=0)))).to(x.dtype),)


def sigmoid_backward(dout: Tensor, x: Tensor) -> tuple[Tensor]:
    """dout * s(x) * s(-x)."""
    wide = widened(x)
    return ((widened(dout) * torch.sigmoid(wide) * torch.sigmoid(-wide)).to(x.dtype),)


def tanh_backward(dout: Tensor, x: Tensor) -> tuple[Tensor]:
    """dout * 4 s(2x) * s(-2x)."""
    wide = 2 * widened(x)
    return ((4 * widened(dout) * torch.sigmoid(wide) * torch.sigmoid(-wide)).to(x.dtype),)


def silu_backward(dout: Tensor, x: Tensor) -> tuple[Tensor]:
    """dout * s(x) * (1 + x * s(-x))."""
    return ((widened(dout) * _silu_slope(widened(x))).to(x.dtype),)


def gelu_backward(dout: Tensor, x: Tensor) -> tuple[Tensor]:
    """dout * (Phi(x) + x * phi(x)), Phi by erfc."""
    wide = widened(x)
    density = torch.exp(-0.5 * wide.square()) * (1 / math.sqrt(2 * math.pi))
    slope = 0.5 * torch.special.erfc(wide * -math.sqrt(0.5)) + wide * density
    return ((widened(dout) * slope).to(x.dtype),)


def gelu_tanh_backward(dout: Tensor, x: Tensor) -> tuple[Tensor]:
    """dout * s(z) * (1 + x * z' * s(-z)), z = sqrt(8 / pi) * (x + 0.044715 x**3)."""
    wide = widened(x)
    square = 0.044715 * wide.square()
    z = math.sqrt(8 / math.pi) * wide * (1 + square)
    growth = math.sqrt(8 / math.pi) * wide * (1 + 3 * square) * torch.sigmoid(-z)
    return ((widened(dout) * torch.sigmoid(z) * (1 + growth)).to(x.dtype),)


def swiglu_backward(dout: Tensor, gate: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """dgate = dout * up * silu'(gate), dup = dout * silu(gate)."""
    wide, g = widened(dout), widened(gate)
    return (wide * widened(up) * _silu_slope(g)).to(gate.dtype), (wide * g * torch.sigmoid(g)).to(up.dtype)


def rope_backward(dout: Tensor, x: Tensor, positions: Tensor, **options: Any) -> tuple[Tensor]:
    """dout turned back: by the negative positions. Options as `harness.candidates.torch.ops.rope`."""
    return (rope(dout, -positions, **options),)


def cross_entropy_backward(
    dout: float, logits: Tensor, targets: Tensor, ignore_index: int = -100, label_smoothing: float = 0.0
) -> tuple[Tensor]:
    """dout * (softmax - weights) / count on the counted tokens, else 0. Shapes: logits (..., V), targets (...)."""
    counted = counted_targets(logits, targets, ignore_index)
    kept = widened(logits[counted])
    weights = torch.exp(kept - kept.amax(dim=-1, keepdim=True))
    gradient = weights / weights.sum(dim=-1, keepdim=True)
    gradient -= label_smoothing / logits.shape[-1]
    gradient[torch.arange(len(kept), device=kept.device), targets[counted]] -= 1 - label_smoothing
    out = torch.zeros_like(logits)
    out[counted] = (gradient * (dout / max(len(kept), 1))).to(logits.dtype)
    return (out,)


def weighted_bce_backward(dout: float, logits: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor]:
    """dout * weight * (s(logit) - label) / N, the label clamped to [0, 1]. Shapes: all (...)."""
    wide = widened(logits)
    gradient = widened(weights) * (torch.sigmoid(wide) - widened(labels).clamp(0, 1))
    return ((gradient * (dout / logits.numel())).to(logits.dtype),)


def _silu_slope(x: Tensor) -> Tensor:
    return torch.sigmoid(x) * (1 + x * torch.sigmoid(-x))
