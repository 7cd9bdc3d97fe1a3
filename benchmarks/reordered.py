"""Correct kernels written otherwise: other orders of the same sums, wider insides, other batches.

None of them may be called wrong by any claim; `false_alarms.py` counts.
"""

import heapq
from types import SimpleNamespace

import numpy as np
import torch

from reference.rope import rope_frequencies


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


def attention_in_one_accumulator(q, k, v, **masks):
    """Every sum as a loop adds it, one product after the other."""
    group = q.shape[1] // k.shape[1]
    wq, wk, wv = wide(q), wide(k).repeat(group, axis=1), wide(v).repeat(group, axis=1)
    scores = _chain(wq[:, :, :, None] * wk[:, :, None], axis=-1) * wq.dtype.type(q.shape[-1] ** -0.5)
    scores = np.where(visible_keys(q, k, **masks), scores, -np.inf)
    weights = np.exp(scores - np.maximum(scores.max(axis=-1, keepdims=True), -1e30))
    total = _chain(weights, axis=-1)[..., None]
    return (_chain(weights[..., None] * wv[:, :, None], axis=-2) / np.where(total > 0, total, 1)).astype(q.dtype)


def _chain(products, axis):
    return np.take(np.add.accumulate(products, axis=axis), -1, axis=axis)


def attention_in_blocks(q, k, v, **masks):
    return numpy_attention(q, k, v, block=48, **masks)


def in_float64(op):
    """The same op with everything inside in float64."""

    def widened(x, *args, **options):
        out = op(*(a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in (x, *args)), **options)
        return out.astype(x.dtype)

    return widened


def one_by_one(op):
    """Each row of the batch alone: what a batch of one computes."""

    def alone(*args, **options):
        def row(i, value):
            return value[i : i + 1] if isinstance(value, np.ndarray) else value

        calls = ((i, {name: row(i, value) for name, value in options.items()}) for i in range(args[0].shape[0]))
        return np.concatenate([op(*(row(i, a) for a in args), **kept) for i, kept in calls])

    return alone


def sdpa(q, k, v, *, scale=None, **masks):
    """torch's fused attention over repeated heads, with an additive mask."""
    mask = torch.zeros(visible_keys(q, k, **masks).shape, dtype=q.dtype)
    mask = mask.masked_fill(~torch.from_numpy(visible_keys(q, k, **masks)), float("-inf"))
    k, v = (a.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for a in (k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


def rope_by(table):
    """Rotation in the input's width, or float32 for 16 bits, with angles from float32 frequencies of `table`."""

    def rope(x, positions, *, theta, interleaved=False, rotary_dim=None, scaling=None):
        size = rotary_dim or x.shape[-1]
        frequencies, factor = table(size, theta, scaling)
        turn = factor * np.exp(1j * (positions.astype(np.float32)[:, None] * frequencies)).astype(np.complex64)
        w = wide(x[..., :size])
        first, second = (w[..., 0::2], w[..., 1::2]) if interleaved else np.split(w, 2, axis=-1)
        turned = (first + 1j * second) * turn
        stack = np.stack if interleaved else np.concatenate
        rotated = stack([turned.real, turned.imag], axis=-1).reshape(w.shape)
        return np.concatenate([rotated.astype(x.dtype), x[..., size:]], axis=-1)

    return rope


def rounded_table(size, theta, scaling):
    frequencies, factor = rope_frequencies(size, theta, scaling)
    return frequencies.astype(np.float32), np.float32(factor)


def multiplied_table(size, theta, scaling):
    """Each frequency the one before times theta**(-2/R), all in float32, then scaled."""
    step = np.float32(theta ** (-2 / size))
    chain = np.multiply.accumulate(np.concatenate([np.ones(1, np.float32), np.full(size // 2 - 1, step)]))
    scaled, factor = rope_frequencies(size, theta, scaling)
    share = (scaled / rope_frequencies(size, theta)[0]).astype(np.float32)
    return chain * share, np.float32(factor)


def product_in_one_accumulator(a, b):
    """A product of matrices as a loop adds it, one product after the other."""
    total = np.zeros((*a.shape[:-1], b.shape[-1]), wide(a).dtype)
    for i in range(a.shape[-1]):
        total += wide(a)[..., i : i + 1] * wide(b)[..., i : i + 1, :]
    return total.astype(a.dtype)


def linear_by(product):
    def linear(x, weight, bias=None):
        out = product(wide(x), np.ascontiguousarray(wide(weight).T))
        return (out if bias is None else out + wide(bias)).astype(x.dtype)

    return linear


def product_backwards(a, b):
    """Halves of the inner axis apart, the second one first."""
    a, b, half = wide(a), wide(b), a.shape[-1] // 2
    return a[..., half:] @ b[..., half:, :] + a[..., :half] @ b[..., :half, :]


def narrowed(product):
    return lambda a, b: product(a, b).astype(a.dtype)


def one_hot_embedding(tokens, weight):
    return ((tokens[..., None] == np.arange(len(weight))).astype(weight.dtype) @ weight).astype(weight.dtype)


def cross_entropy_by_lse(logits, targets):
    """log-sum-exp with the maximum added back, less the label's logit, token by token in one accumulator."""
    w, kept = wide(logits), targets != -100
    top = w.max(axis=-1)
    lse = top + np.log(np.exp(w - top[..., None]).sum(axis=-1))
    picked = np.take_along_axis(w, np.where(kept, targets, 0)[..., None], axis=-1)[..., 0]
    return (np.add.accumulate((lse - picked)[kept])[-1] / kept.sum(dtype=w.dtype)).astype(logits.dtype)


def cross_entropy_in_float64(logits, targets):
    return cross_entropy_by_lse(logits.astype(np.float64), targets).astype(logits.dtype)


def cross_entropy_through_softmax(logits, targets):
    """Row by row, the probability first and its logarithm after, without what is ignored."""
    losses = torch.log_softmax(logits.float(), dim=-1).flatten(0, -2)
    kept = [row[label] for row, label in zip(losses, targets.flatten(), strict=True) if label != -100]
    return -torch.stack(kept).mean().to(logits.dtype)


def top_k_by_lexsort(logits, k):
    ids = np.broadcast_to(np.arange(logits.shape[-1]), logits.shape)
    return np.lexsort((ids, -logits), axis=-1)[..., :k]


def top_k_by_heap(logits, k):
    return np.array([heapq.nsmallest(k, range(len(row)), key=lambda i, row=row: (-row[i], i)) for row in logits])


def argmax_in_blocks(logits, vocab_size=None):
    real = logits[..., :vocab_size]
    blocks = [real[..., start : start + 100] for start in range(0, real.shape[-1], 100)]
    tops = np.stack([block.max(axis=-1) for block in blocks], axis=-1)
    ids = np.stack([100 * i + block.argmax(axis=-1) for i, block in enumerate(blocks)], axis=-1)
    return np.take_along_axis(ids, tops.argmax(axis=-1)[..., None], axis=-1)[..., 0]


def rmsnorm_torch_two_steps(x, weight, eps):
    w = x.double() if x.dtype == torch.float64 else x.float()
    norm = torch.linalg.vector_norm(w, dim=-1, keepdim=True) * w.shape[-1] ** -0.5
    return (w * (weight.to(w.dtype) * torch.rsqrt(norm * norm + eps))).to(x.dtype)


def _sigmoid(w):
    return w.dtype.type(0.5) + w.dtype.type(0.5) * np.tanh(w * w.dtype.type(0.5))


def elementwise(function):
    """A function of wide arrays and plain numbers as an op: widened before, rounded once after."""

    def op(x, *rest):
        w = wide(x)
        rest = (wide(a) if isinstance(a, np.ndarray) else w.dtype.type(a) for a in rest)
        with np.errstate(over="ignore"):
            return function(w, *rest).astype(x.dtype)

    return op


def gelu_by_erf(x):
    w = x.double() if x.dtype == torch.float64 else x.float()
    return (0.5 * w * (1 + torch.special.erf(w * 0.5**0.5))).to(x.dtype)


def gelu_in_float64(x):
    return (0.5 * x.double() * torch.special.erfc(-x.double() * 0.5**0.5)).to(x.dtype)


def numpy_gelu_tanh(w):
    u = w.dtype.type((2 / np.pi) ** 0.5) * (w + w.dtype.type(0.044715) * w**3)
    return w.dtype.type(0.5) * w * (1 + np.tanh(u))


def elu_by_tanh(w, alpha):
    """expm1(x) = 2 t / (1 - t) with t = tanh(x / 2)."""
    t = np.tanh(np.minimum(w, 0) * w.dtype.type(0.5))
    return np.where(w > 0, w, alpha * 2 * t / (1 - t))


def tanh_by_expm1(w):
    e = np.expm1(-2 * np.abs(w))
    return np.copysign(e / (2 + e), w)


def numpy_layernorm(x, weight, bias, eps):
    w = wide(x)
    centred = w - w.mean(axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return (centred / np.sqrt(variance + w.dtype.type(eps)) * wide(weight) + wide(bias)).astype(x.dtype)


def layernorm_in_column_order(x, weight, bias, eps):
    """Both sums in one accumulator, last column first."""
    w = wide(x)
    size, eps = w.dtype.type(w.shape[-1]), w.dtype.type(eps)
    centred = w - np.add.accumulate(w[..., ::-1], axis=-1)[..., -1:] / size
    variance = np.add.accumulate((centred * centred)[..., ::-1], axis=-1)[..., -1:] / size
    return (centred * (1 / np.sqrt(variance + eps)) * wide(weight) + wide(bias)).astype(x.dtype)


def layernorm_by_welford(x, weight, bias, eps):
    """Mean and squared differences updated column by column."""
    w = wide(x)
    mean, squares = np.zeros_like(w[..., 0]), np.zeros_like(w[..., 0])
    for i in range(w.shape[-1]):
        delta = w[..., i] - mean
        mean = mean + delta / w.dtype.type(i + 1)
        squares = squares + delta * (w[..., i] - mean)
    scale = 1 / np.sqrt(squares / w.dtype.type(w.shape[-1]) + w.dtype.type(eps))
    return ((w - mean[..., None]) * scale[..., None] * wide(weight) + wide(bias)).astype(x.dtype)


def numpy_l2norm(x, eps):
    w = wide(x)
    return (w / np.sqrt(np.sum(w * w, axis=-1, keepdims=True) + w.dtype.type(eps))).astype(x.dtype)


def l2norm_in_column_order(x, eps):
    w = wide(x)
    total = np.add.accumulate((w * w)[..., ::-1], axis=-1)[..., -1:]
    return (w * (1 / np.sqrt(total + w.dtype.type(eps)))).astype(x.dtype)


def named(op, **kernels):
    """Kernels of one elementwise op under their names, and one more that is float64 inside."""
    first = next(iter(kernels.values()))
    kernels = {name: elementwise(function) for name, function in kernels.items()}
    kernels["float64 inside"] = in_float64(elementwise(first))
    return {name.replace("_", " "): SimpleNamespace(**{op: kernel}) for name, kernel in kernels.items()}


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
    "rope": {
        "rounded frequencies": SimpleNamespace(rope=rope_by(rounded_table)),
        "multiplied frequencies": SimpleNamespace(rope=rope_by(multiplied_table)),
    },
    "linear": {
        "sequential sums": SimpleNamespace(linear=linear_by(product_in_one_accumulator)),
        "halves": SimpleNamespace(linear=linear_by(product_backwards)),
        "float64 inside": SimpleNamespace(linear=in_float64(linear_by(np.matmul))),
    },
    "matmul": {
        "sequential sums": SimpleNamespace(matmul=product_in_one_accumulator),
        "halves": SimpleNamespace(matmul=narrowed(product_backwards)),
        "float64 inside": SimpleNamespace(matmul=in_float64(np.matmul)),
    },
    "embedding": {
        "numpy": SimpleNamespace(embedding=lambda tokens, weight: weight[tokens]),
        "one-hot product": SimpleNamespace(embedding=one_hot_embedding),
    },
    "cross_entropy": {
        "log-sum-exp": SimpleNamespace(cross_entropy=cross_entropy_by_lse),
        "log-softmax, token by token": SimpleNamespace(ARRAYS="torch", cross_entropy=cross_entropy_through_softmax),
        "float64 inside": SimpleNamespace(cross_entropy=cross_entropy_in_float64),
    },
    "top_k": {
        "lexsort": SimpleNamespace(top_k=top_k_by_lexsort),
        "heap": SimpleNamespace(top_k=top_k_by_heap),
    },
    "argmax": {
        "blocks": SimpleNamespace(argmax=argmax_in_blocks),
        "numpy": SimpleNamespace(argmax=lambda logits, vocab_size=None: logits[..., :vocab_size].argmax(axis=-1)),
    },
    "layernorm": {
        "numpy": SimpleNamespace(layernorm=numpy_layernorm),
        "sequential sums": SimpleNamespace(layernorm=layernorm_in_column_order),
        "Welford": SimpleNamespace(layernorm=layernorm_by_welford),
        "float64 inside": SimpleNamespace(layernorm=in_float64(numpy_layernorm)),
    },
    "l2norm": {
        "numpy": SimpleNamespace(l2norm=numpy_l2norm),
        "sequential sums": SimpleNamespace(l2norm=l2norm_in_column_order),
        "float64 inside": SimpleNamespace(l2norm=in_float64(numpy_l2norm)),
    },
    "gelu": {
        "torch, by erf": SimpleNamespace(ARRAYS="torch", gelu=gelu_by_erf),
        "float64 inside": SimpleNamespace(ARRAYS="torch", gelu=gelu_in_float64),
    },
    "gelu_tanh": named("gelu_tanh", numpy=numpy_gelu_tanh),
    "silu": named("silu", by_tanh=lambda w: w * _sigmoid(w), one_division=lambda w: w / (1 + np.exp(-w))),
    "relu": named("relu", maximum=lambda w: np.maximum(w, 0), select=lambda w: np.where(w <= 0, w.dtype.type(0), w)),
    "leaky_relu": named(
        "leaky_relu",
        where=lambda w, slope: np.where(w >= 0, w, slope * w),
        sum=lambda w, slope: np.maximum(w, 0) + slope * np.minimum(w, 0),
    ),
    "elu": named(
        "elu",
        numpy=lambda w, alpha: np.where(w > 0, w, alpha * np.expm1(np.minimum(w, 0))),
        by_tanh=elu_by_tanh,
    ),
    "sigmoid": named("sigmoid", by_tanh=_sigmoid, one_division=lambda w: 1 / (1 + np.exp(-w))),
    "tanh": named("tanh", numpy=np.tanh, by_expm1=tanh_by_expm1),
    "swiglu": named(
        "swiglu",
        by_tanh=lambda gate, up: gate * _sigmoid(gate) * up,
        up_first=lambda gate, up: gate * up / (1 + np.exp(-gate)),
    ),
}
