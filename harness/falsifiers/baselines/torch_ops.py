"""Ops of torch.nn.functional, as PyTorch's authors wrote them, under the names that claims use."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from harness.falsifiers.baselines.width import widened

ARRAYS = "torch"


def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """torch.nn.functional.rms_norm over the last axis."""
    return F.rms_norm(x, weight.shape, weight, eps)


def softmax(x: torch.Tensor) -> torch.Tensor:
    """torch.nn.functional.softmax over the last axis."""
    return F.softmax(x, dim=-1)


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    causal: bool = True,
    scale: float | None = None,
    offset: int = 0,
    window: int | None = None,
    padding: torch.Tensor | None = None,
    segments: torch.Tensor | None = None,
) -> torch.Tensor:
    """torch.nn.functional.scaled_dot_product_attention with grouped heads; a row without keys is 0 there.

    The mask is written out: torch's is_causal aligns it top-left when Tq != Tk.
    Shapes: q (B, H, Tq, D), k and v (B, KV, Tk, D), padding (B,), segments (B, Tk) -> (B, H, Tq, D).
    """
    at = torch.arange(q.shape[2], device=q.device)[:, None] + offset
    keys = torch.arange(k.shape[2], device=q.device)
    mask = keys <= at if causal else None
    if window is not None:
        mask = _both(mask, keys > at - window)
    if padding is not None:
        mask = _both(mask, (keys >= padding[:, None])[:, None, None])
    if segments is not None:
        mask = _both(mask, (segments[:, at] == segments[:, None])[:, None])
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=True)


def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float) -> torch.Tensor:
    """torch.nn.functional.layer_norm over the last axis."""
    return F.layer_norm(x, weight.shape, weight, bias, eps)


def l2norm(x: torch.Tensor, eps: float) -> torch.Tensor:
    """x * rsqrt(sum(x**2) + eps) over the last axis, by torch.nn.functional.rms_norm.

    torch has no such function: rms_norm with eps / C and the gain 1 / sqrt(C) is the same one.
    16-bit rows go in as float32, so that the gain is not rounded to 16 bits.
    """
    wide = widened(x)
    size = x.shape[-1]
    gain = torch.full((size,), size**-0.5, dtype=wide.dtype, device=x.device)
    return F.rms_norm(wide, (size,), gain, eps / size).to(x.dtype)


def gelu(x: torch.Tensor) -> torch.Tensor:
    """torch.nn.functional.gelu, by erf."""
    return F.gelu(x)


def gelu_tanh(x: torch.Tensor) -> torch.Tensor:
    """torch.nn.functional.gelu, by tanh."""
    return F.gelu(x, approximate="tanh")


def silu(x: torch.Tensor) -> torch.Tensor:
    """torch.nn.functional.silu."""
    return F.silu(x)


def relu(x: torch.Tensor) -> torch.Tensor:
    """torch.relu."""
    return torch.relu(x)


def leaky_relu(x: torch.Tensor, slope: float) -> torch.Tensor:
    """torch.nn.functional.leaky_relu."""
    return F.leaky_relu(x, slope)


def elu(x: torch.Tensor, alpha: float) -> torch.Tensor:
    """torch.nn.functional.elu."""
    return F.elu(x, alpha)


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """torch.sigmoid."""
    return torch.sigmoid(x)


def tanh(x: torch.Tensor) -> torch.Tensor:
    """torch.tanh."""
    return torch.tanh(x)


def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up as the MLPs of transformers write it, rounded twice in 16 bits."""
    return F.silu(gate) * up


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """torch.nn.functional.linear."""
    return F.linear(x, weight, bias)


def matmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """torch.matmul."""
    return torch.matmul(a, b)


def embedding(tokens: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """torch.nn.functional.embedding."""
    return F.embedding(tokens, weight)


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, ignore_index: int = -100, label_smoothing: float = 0.0
) -> torch.Tensor:
    """torch.nn.functional.cross_entropy over all leading axes."""
    flat = logits.flatten(0, -2)
    return F.cross_entropy(flat, targets.flatten(), ignore_index=ignore_index, label_smoothing=label_smoothing)


def weighted_bce(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """torch.nn.functional.binary_cross_entropy_with_logits on the clamped labels."""
    return F.binary_cross_entropy_with_logits(logits, labels.clamp(0, 1), weight=weights)


def top_k(logits: torch.Tensor, k: int) -> torch.Tensor:
    """torch.sort, stable: torch.topk gives equal values in no fixed order."""
    return torch.sort(logits, dim=-1, descending=True, stable=True).indices[..., :k]


def argmax(logits: torch.Tensor, vocab_size: int | None = None) -> torch.Tensor:
    """torch.argmax of the first vocab_size columns; it gives the first of equal values."""
    return torch.argmax(logits[..., :vocab_size], dim=-1)


def _both(mask: torch.Tensor | None, other: torch.Tensor) -> torch.Tensor:
    return other if mask is None else mask & other
