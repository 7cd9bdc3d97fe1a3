"""Correct kernels written otherwise: other orders of the same sums, wider insides, other batches.

None of them may be called wrong by any claim; `false_alarms.py` counts.
"""

from types import SimpleNamespace

import numpy as np
import torch


def wide(x):
    return x.astype(np.float64 if x.dtype == np.float64 else np.float32)


def numpy_rmsnorm(x, weight, eps):
    w = wide(x)
    return (w / np.sqrt(np.mean(w * w, axis=-1, keepdims=True) + w.dtype.type(eps)) * wide(weight)).astype(x.dtype)


def rmsnorm_in_column_order(x, weight, eps):
    """The squares added one column after the other, last first: the longest chain there is."""
    w = wide(x)
    total = np.add.accumulate((w * w)[..., ::-1], axis=-1)[..., -1:]
    return (w * (1 / np.sqrt(total / w.dtype.type(w.shape[-1]) + w.dtype.type(eps))) * wide(weight)).astype(x.dtype)


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
        total = total * np.exp(top - new) + np.exp(part - new).sum(axis=-1, keepdims=True)
        top = new
    return (np.exp(w - top) * (1 / total)).astype(x.dtype)


def softmax_through_log(x):
    w = wide(x)
    shifted = w - w.max(axis=-1, keepdims=True)
    return np.exp(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))).astype(x.dtype)


def numpy_attention(q, k, v, *, causal=True, scale=None, offset=0, block=None, narrow=False):
    """Blocks of keys with an online softmax; `narrow` rounds the weights to 16 bits, as flash attention does."""
    group = q.shape[1] // k.shape[1]
    wq, wk, wv = wide(q), wide(k).repeat(group, axis=1), wide(v).repeat(group, axis=1)
    scores = wq @ wk.swapaxes(-1, -2) * wq.dtype.type(q.shape[-1] ** -0.5 if scale is None else scale)
    if causal:
        visible = np.arange(k.shape[2]) <= np.arange(q.shape[2])[:, None] + offset
        scores = np.where(visible, scores, -np.inf)
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
    return (out / total).astype(q.dtype)


def attention_in_one_accumulator(q, k, v, *, causal=True, offset=0):
    """Every sum as a loop adds it, one product after the other."""
    group = q.shape[1] // k.shape[1]
    wq, wk, wv = wide(q), wide(k).repeat(group, axis=1), wide(v).repeat(group, axis=1)
    scores = _chain(wq[:, :, :, None] * wk[:, :, None], axis=-1) * wq.dtype.type(q.shape[-1] ** -0.5)
    if causal:
        visible = np.arange(k.shape[2]) <= np.arange(q.shape[2])[:, None] + offset
        scores = np.where(visible, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    out = _chain(weights[..., None] * wv[:, :, None], axis=-2) / _chain(weights, axis=-1)[..., None]
    return out.astype(q.dtype)


def _chain(products, axis):
    return np.take(np.add.accumulate(products, axis=axis), -1, axis=axis)


def attention_in_blocks(q, k, v, *, causal=True, offset=0):
    return numpy_attention(q, k, v, causal=causal, offset=offset, block=48)


def in_float64(op):
    """The same op with everything inside in float64."""

    def widened(x, *args, **options):
        out = op(*(a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in (x, *args)), **options)
        return out.astype(x.dtype)

    return widened


def one_by_one(op):
    """Each row of the batch alone: what a batch of one computes."""

    def alone(*args, **options):
        rows = range(args[0].shape[0])
        return np.concatenate([op(*(a[i : i + 1] for a in args), **options) for i in rows])

    return alone


def sdpa(q, k, v, *, causal=True, scale=None, offset=0):
    """torch's fused attention over repeated heads, with an additive mask."""
    k, v = (a.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for a in (k, v))
    mask = torch.zeros(q.shape[2], k.shape[2], dtype=q.dtype)
    if causal:
        mask = mask.masked_fill(torch.ones_like(mask, dtype=torch.bool).triu(offset + 1), float("-inf"))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


def rmsnorm_torch_two_steps(x, weight, eps):
    w = x.double() if x.dtype == torch.float64 else x.float()
    norm = torch.linalg.vector_norm(w, dim=-1, keepdim=True) * w.shape[-1] ** -0.5
    return (w * (weight.to(w.dtype) * torch.rsqrt(norm * norm + eps))).to(x.dtype)


KERNELS = {
    "rmsnorm": {
        "numpy": SimpleNamespace(rmsnorm=numpy_rmsnorm),
        "sequential sums": SimpleNamespace(rmsnorm=rmsnorm_in_column_order),
        "torch, two steps": SimpleNamespace(ARRAYS="torch", rmsnorm=rmsnorm_torch_two_steps),
        "float64 inside": SimpleNamespace(rmsnorm=in_float64(numpy_rmsnorm)),
    },
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
