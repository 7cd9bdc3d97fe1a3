"""Correct softmax and attention: online, in blocks, through the logarithm, in one accumulator, fused."""

from types import SimpleNamespace

import numpy as np
import torch

from reordered.width import chain, in_float64, one_by_one, wide


def numpy_softmax(x):
    w = wide(x)
    weights = np.exp(w - w.max(axis=-1, keepdims=True))
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(x.dtype)


def online_softmax(x, block=64):
    w = wide(x)
    top, total = np.full_like(w[..., :1], -np.inf), np.zeros_like(w[..., :1])
    for start in range(0, w.shape[-1], block):
        part = w[..., start : start + block]
        new = np.maximum(top, part.max(axis=-1, keepdims=True))
        safe = np.where(np.isinf(new), 0, new)  # a row whose first block is masked whole
        total = total * np.exp(top - safe) + np.exp(part - safe).sum(axis=-1, keepdims=True)
        top = new
    return (np.exp(w - top) * (1 / total)).astype(x.dtype)


def softmax_through_log(x):
    w = wide(x)
    shifted = w - w.max(axis=-1, keepdims=True)
    return np.exp(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))).astype(x.dtype)


def visible_keys(q, k, *, causal=True, offset=0, window=None, padding=None, segments=None):
    """Which keys each query sees, from first to last. Shapes: -> (B, 1, Tq, Tk)."""
    row, _, query, key = np.ogrid[: q.shape[0], :1, : q.shape[2], : k.shape[2]]
    at = query + offset
    first = np.zeros_like(row + at) if window is None else at - window + 1 + 0 * row
    first = first if padding is None else np.maximum(first, np.asarray(padding)[row])
    last = at if causal else k.shape[2] - 1 + 0 * at
    visible = (first <= key) & (key <= last)
    return visible if segments is None else visible & (np.asarray(segments)[row, at] == np.asarray(segments)[row, key])


def numpy_attention(q, k, v, *, scale=None, block=None, narrow=False, **masks):
    """Blocks of keys with an online softmax; `narrow` rounds the weights to 16 bits, as flash attention does."""
    group = q.shape[1] // k.shape[1]
    wq, wk, wv = wide(q), wide(k).repeat(group, axis=1), wide(v).repeat(group, axis=1)
    scores = wq @ wk.swapaxes(-1, -2) * wq.dtype.type(q.shape[-1] ** -0.5 if scale is None else scale)
    scores = np.where(visible_keys(q, k, **masks), scores, -np.inf)
    out = np.zeros((*q.shape[:3], v.shape[3]), wq.dtype)
    top, total = np.full_like(scores[..., :1], -1e30), np.zeros_like(scores[..., :1])
    for start in range(0, k.shape[2], block or k.shape[2]):
        part = slice(start, start + (block or k.shape[2]))
        new = np.maximum(top, scores[..., part].max(axis=-1, keepdims=True))
        weights, factor = np.exp(scores[..., part] - new), np.exp(top - new)
        total = total * factor + weights.sum(axis=-1, keepdims=True)
        if narrow:
            weights = torch.from_numpy(weights).bfloat16().float().numpy()
        out, top = out * factor + weights @ wv[:, :, part], new
    return (out / np.where(total > 0, total, 1)).astype(q.dtype)


def attention_in_one_accumulator(q, k, v, *, scale=None, **masks):
    """Every sum as a loop adds it, one product after the other."""
    group = q.shape[1] // k.shape[1]
    wq, wk, wv = wide(q), wide(k).repeat(group, axis=1), wide(v).repeat(group, axis=1)
    scale = wq.dtype.type(q.shape[-1] ** -0.5 if scale is None else scale)
    scores = chain(wq[:, :, :, None] * wk[:, :, None], axis=-1) * scale
    scores = np.where(visible_keys(q, k, **masks), scores, -np.inf)
    weights = np.exp(scores - np.maximum(scores.max(axis=-1, keepdims=True), -1e30))
    total = chain(weights, axis=-1)[..., None]
    return (chain(weights[..., None] * wv[:, :, None], axis=-2) / np.where(total > 0, total, 1)).astype(q.dtype)


def attention_in_blocks(q, k, v, **masks):
    return numpy_attention(q, k, v, block=48, **masks)


def sdpa(q, k, v, *, scale=None, **masks):
    """torch's fused attention over repeated heads, with an additive mask."""
    masks = {name: mask.cpu() if isinstance(mask, torch.Tensor) else mask for name, mask in masks.items()}
    visible = torch.from_numpy(visible_keys(q, k, **masks)).to(q.device)
    mask = torch.zeros(visible.shape, dtype=q.dtype, device=q.device).masked_fill(~visible, float("-inf"))
    k, v = (a.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for a in (k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


KERNELS = {
    "softmax": {
        "numpy": SimpleNamespace(softmax=numpy_softmax),
        "online": SimpleNamespace(softmax=online_softmax),
        "through the log": SimpleNamespace(softmax=softmax_through_log),
        "float64 inside": SimpleNamespace(softmax=in_float64(numpy_softmax)),
        "batch of one": SimpleNamespace(softmax=one_by_one(numpy_softmax)),
    },
    "attention": {
        "numpy": SimpleNamespace(attention=numpy_attention),
        "online, in blocks": SimpleNamespace(attention=attention_in_blocks),
        "sequential sums": SimpleNamespace(attention=attention_in_one_accumulator),
        "float64 inside": SimpleNamespace(attention=in_float64(numpy_attention)),
        "batch of one": SimpleNamespace(attention=one_by_one(numpy_attention)),
        "sdpa": SimpleNamespace(ARRAYS="torch", attention=sdpa),
    },
}
