"""The gradient of attention, wrong in one place each."""

import numpy as np
from reordered.width import wide

from wrong.attending import shared
from wrong.version import Version, normal


def gradient(
    dout, q, k, v, *, causal=True, scale=None, offset=0, masked=None, scaled=True, groups=shared, added=True, rows=None
):
    """dV = Pᵀ dO, dS = P (dO Vᵀ − rowsum), dQ = scale dS K, dK = scale dSᵀ Q, summed over the heads of a group."""
    heads, kv = q.shape[1], k.shape[1]
    of = np.array([min(groups(head, heads, kv), kv - 1) for head in range(heads)])
    w, up, keys, values = wide(q), wide(dout), wide(k)[:, of], wide(v)[:, of]
    by = w.dtype.type(q.shape[-1] ** -0.5 if scale is None else scale)
    scores = w @ np.swapaxes(keys, -1, -2) * by
    at = np.arange(q.shape[2])[:, None] + (offset if masked is None else masked)
    seen = np.arange(k.shape[2]) <= at if causal else np.ones(scores.shape[-2:], bool)
    hidden = np.where(seen, scores, -np.inf)
    p = np.exp(hidden - hidden.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    dp = up @ np.swapaxes(values, -1, -2)
    ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True)) * (by if scaled else w.dtype.type(q.shape[-1] ** -0.5))
    if rows is not None:
        ds = ds * rows(ds.shape[2])[:, None]
    dk, dv = np.zeros(k.shape, w.dtype), np.zeros(v.shape, w.dtype)
    for head, own in enumerate(of):
        parts = np.swapaxes(ds[:, head], -1, -2) @ w[:, head], np.swapaxes(p[:, head], -1, -2) @ up[:, head]
        dk[:, own], dv[:, own] = (dk[:, own] + parts[0], dv[:, own] + parts[1]) if added else parts
    return (ds @ keys).astype(q.dtype), dk.astype(k.dtype), dv.astype(v.dtype)


def last_head_of_a_group(wrong, dout, q, k, v, **options):
    """dK and dV are those of the last query head of a group, not the sum over it."""
    return gradient(dout, q, k, v, added=not wrong, **options)


def groups_by_the_share(wrong, dout, q, k, v, **options):
    """The backward divides a head by the number of key heads, the forward by the size of a group."""
    return gradient(dout, q, k, v, groups=(lambda head, heads, kv: head // kv) if wrong else shared, **options)


def backward_from_the_top_left(wrong, dout, q, k, v, offset=0, **options):
    """With earlier keys, the backward's mask is aligned at the top left; the forward is right."""
    return gradient(dout, q, k, v, offset=offset, masked=0 if wrong else None, **options)


def backward_with_the_usual_scale(wrong, dout, q, k, v, **options):
    """An explicit scale is used for the probabilities, and 1/√D for the gradient."""
    return gradient(dout, q, k, v, scaled=not wrong, **options)


def queries_of_the_last_block(wrong, dout, q, k, v, **options):
    """Queries behind the last whole block of 16 give nothing to dQ and dK."""

    def rows(count):
        whole = count // 16 * 16 if wrong and count > 16 else count
        return (np.arange(count) < whole).astype(wide(q).dtype)

    return gradient(dout, q, k, v, rows=rows, **options)


def _call(heads=4, kv=2, queries=5, keys=5, **options):
    def call(f, r):
        q, k, v = normal(r, 2, heads, queries, 8), normal(r, 2, kv, keys, 8), normal(r, 2, kv, keys, 8)
        return f.attention_backward(normal(r, 2, heads, queries, 8), q, k, v, **options)

    return call


OP = "attention_backward"
VERSIONS = (
    Version(last_head_of_a_group, OP, _call(), "marin-community/levanter#449"),
    Version(
        groups_by_the_share,
        OP,
        _call(heads=12, kv=3),
        "XunhaoLai/native-sparse-attention-triton#27",
        rare="head counts that are not a square",
    ),
    Version(backward_from_the_top_left, OP, _call(queries=3, keys=9, offset=6), "xlite-dev/ffpa-attn#300"),
    Version(
        backward_with_the_usual_scale,
        OP,
        _call(scale=0.9),
        "Synthetic: the scale is an argument of the forward, and the backward was written before it",
        rare="one option",
    ),
    Version(
        queries_of_the_last_block,
        OP,
        _call(queries=33, keys=33),
        "flagos-ai/FlagGems#898",
        rare="one residue of the length",
    ),
)
