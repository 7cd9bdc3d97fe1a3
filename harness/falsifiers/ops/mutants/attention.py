"""Attention that was shipped wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace

BLOCK = 32


@mutant
def scale_missing(baseline: Any) -> Any:
    """A fallback path leaves the scale at 1 (mlc-ai/mlc-llm#3426)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        return baseline.attention(q, k, v, **{**options, "scale": 1.0})

    return replace(baseline, attention=attention)


@mutant
def scale_ignored(baseline: Any) -> Any:
    """1 / sqrt(head_dim) whatever the call says.

    Synthetic: the kernel computes its scale from the head, and models with another one (Gemma, Granite) come later.
    """

    def attention(q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None, **options: Any) -> Tensor:
        return baseline.attention(q, k, v, **options)

    return replace(baseline, attention=attention)


@mutant
def causal_offset_ignored(baseline: Any) -> Any:
    """The causal mask is aligned top-left, so cached keys are hidden (onnx/onnx#8068, pytorch/executorch#21749)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, offset: int = 0, **options: Any) -> Tensor:
        return baseline.attention(q, k, v, **options)

    return replace(baseline, attention=attention)


@mutant
def mask_off_by_one(baseline: Any) -> Any:
    """Every query sees one future key; perplexity looks better (huggingface/transformers#48748)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, offset: int = 0, **options: Any) -> Tensor:
        return baseline.attention(q, k, v, offset=offset + 1, **options)

    return replace(baseline, attention=attention)


@mutant
def mask_ignored(baseline: Any) -> Any:
    """No causal mask at all (huggingface/transformers#48748: is_causal was never set)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        return baseline.attention(q, k, v, **{**options, "causal": False})

    return replace(baseline, attention=attention)


@mutant
def gqa_interleaved(baseline: Any) -> Any:
    """Key/value heads are tiled, h % KV, instead of repeated, h // (H // KV) (onnx/onnx#7274, ekzhang/jax-js#180)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        tiles = (1, q.shape[1] // k.shape[1], 1, 1)
        return baseline.attention(q, k.repeat(tiles), v.repeat(tiles), **options)

    return replace(baseline, attention=attention)


@mutant
def tail_block_dropped(baseline: Any) -> Any:
    """Keys beyond the last whole block are not visited (pytorch/pytorch#159247)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        kept = k.shape[2] // BLOCK * BLOCK or k.shape[2]
        return baseline.attention(q, k[:, :, :kept], v[:, :, :kept], **options)

    return replace(baseline, attention=attention)


@mutant
def padding_keys_leak(baseline: Any) -> Any:
    """The last block is filled with zero keys that score 0 instead of -inf (flashinfer-ai/flashinfer#5090).

    A causal mask hides those keys, so only unmasked rows show it.
    """

    def attention(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        fill = (0, 0, 0, -k.shape[2] % BLOCK)
        return baseline.attention(q, *(torch.nn.functional.pad(a, fill) for a in (k, v)), **options)

    return replace(baseline, attention=attention)


@mutant
def rescale_missing(baseline: Any) -> Any:
    """Neither sum nor accumulator is rescaled when a block raises the running maximum (arXiv:2205.14135, alg. 1)."""
    return replace(baseline, attention=_online(rescale_sum=False, rescale_accumulator=False))


@mutant
def accumulator_not_rescaled(baseline: Any) -> Any:
    """The sum is rescaled, the accumulator is forgotten (arXiv:2205.14135, algorithm 1, line 12)."""
    return replace(baseline, attention=_online(rescale_sum=True, rescale_accumulator=False))


def _online(*, rescale_sum: bool, rescale_accumulator: bool) -> Any:
    """Attention over blocks of keys with an online softmax, whose two rescalings can be left out."""

    def attention(
        q: Tensor, k: Tensor, v: Tensor, *, causal: bool = True, scale: float | None = None, offset: int = 0
    ) -> Tensor:
        scores = _scores(q, k, causal, scale, offset)
        values = widened(v).repeat_interleave(q.shape[1] // v.shape[1], dim=1)
        maximum = torch.full_like(scores[..., :1], -1e30)
        total = torch.zeros_like(maximum)
        out = torch.zeros(*scores.shape[:3], v.shape[3], dtype=scores.dtype, device=q.device)
        for part, value in zip(scores.split(BLOCK, dim=3), values.split(BLOCK, dim=2), strict=True):
            block = part.amax(-1, keepdim=True).clamp(min=-1e30)
            new = torch.maximum(maximum, block)
            weights, factor = torch.exp(part - new), torch.exp(maximum - new)
            total = total * (factor if rescale_sum else 1) + weights.sum(-1, keepdim=True)
            out = out * (factor if rescale_accumulator else 1) + weights @ value
            maximum = new
        return (out / total).to(q.dtype)

    return attention


def _scores(q: Tensor, k: Tensor, causal: bool, scale: float | None, offset: int) -> Tensor:
    keys = widened(k).repeat_interleave(q.shape[1] // k.shape[1], dim=1)
    scores = widened(q) @ keys.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(offset + 1)
        scores = scores.masked_fill(hidden, float("-inf"))
    return scores


@mutant
def offset_frozen_at_capture(baseline: Any) -> Any:
    """A graph kept by shape alone replays the offset it was captured with (ikawrakow/ik_llama.cpp#2096)."""
    captured: dict[Any, int] = {}

    def attention(q: Tensor, k: Tensor, v: Tensor, *, offset: int = 0, **options: Any) -> Tensor:
        frozen = captured.setdefault((q.shape, k.shape, q.dtype), offset)
        return baseline.attention(q, k, v, offset=frozen, **options)

    return replace(baseline, attention=attention)


@mutant
def reused_output_buffer(baseline: Any) -> Any:
    """One output buffer per shape: the second call overwrites the first result (pytorch/pytorch#104435)."""
    buffers: dict[Any, Tensor] = {}

    def attention(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        out = buffers.setdefault((q.shape, q.dtype), torch.empty_like(q))
        return out.copy_(baseline.attention(q, k, v, **options))

    return replace(baseline, attention=attention)


@mutant
def groups_of_four_at_most(baseline: Any) -> Any:
    """Query heads are mapped in groups of up to four; the fifth of a group reads the next key/value head.

    Synthetic: a kernel of four queries per block, grown from models whose group is 4.
    """

    def attention(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        group = q.shape[1] // k.shape[1]
        heads = (torch.arange(q.shape[1]) // min(group, 4)) % k.shape[1]
        return baseline.attention(q, k[:, heads], v[:, heads], **options)

    return replace(baseline, attention=attention)
