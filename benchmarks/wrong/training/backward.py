"""Gradients of products, norms, activations and losses, wrong in one place each."""

import numpy as np
from reordered.width import wide

from wrong.version import Version, normal


def _flat(x):
    return wide(x).reshape(-1, x.shape[-1])


def linear_bias_of_the_last_row(wrong, dout, x, weight, bias=None):
    """The bias gradient is that of the last batch, not of all."""
    up, rows = _flat(dout), _flat(x)
    dx = (wide(dout) @ wide(weight)).astype(x.dtype)
    dweight = (up.T @ rows).astype(weight.dtype)
    if bias is None:
        return dx, dweight
    seen = wide(dout)[-1].reshape(-1, dout.shape[-1]) if wrong and dout.ndim > 2 else up
    return dx, dweight, seen.sum(axis=0).astype(bias.dtype)


def linear_rows_beyond_1024(wrong, dout, x, weight, bias=None):
    """The weight gradient adds the first 1,024 rows."""
    up, rows = _flat(dout), _flat(x)
    end = 1024 if wrong else len(rows)
    found = (wide(dout) @ wide(weight)).astype(x.dtype), (up[:end].T @ rows[:end]).astype(weight.dtype)
    return found if bias is None else (*found, up.sum(axis=0).astype(bias.dtype))


def matmul_of_square_matrices(wrong, dout, a, b):
    """The gradient of a multiplies by b instead of its transpose, which only a square b allows."""
    right = wide(b) if wrong and b.shape[-1] == b.shape[-2] else np.swapaxes(wide(b), -1, -2)
    return (wide(dout) @ right).astype(a.dtype), (np.swapaxes(wide(a), -1, -2) @ wide(dout)).astype(b.dtype)


def embedding_keeps_the_last(wrong, dout, tokens, weight):
    """An id that stands twice gets the gradient of its last place."""
    total, rows, ids = np.zeros(weight.shape, wide(dout).dtype), _flat(dout), np.asarray(tokens).reshape(-1)
    if wrong:
        total[ids] = rows
    else:
        np.add.at(total, ids, rows)
    return (total.astype(weight.dtype),)


def embedding_never_learns_zero(wrong, dout, tokens, weight):
    """Id 0 is padding and has no gradient."""
    total = np.zeros(weight.shape, wide(dout).dtype)
    np.add.at(total, np.asarray(tokens).reshape(-1), _flat(dout))
    if wrong:
        total[0] = 0
    return (total.astype(weight.dtype),)


def rmsnorm_correction_by_column(wrong, dout, x, weight, eps):
    """The correction of each row is broadcast along the columns, which fits where both numbers are equal."""
    w, up = _flat(x), _flat(dout)
    inverse = 1 / np.sqrt(np.square(w).mean(axis=-1, keepdims=True) + w.dtype.type(eps))
    n, dn = w * inverse, up * wide(weight)
    inner = (n * dn).mean(axis=-1, keepdims=True)
    dx = inverse * (dn - n * (inner.T if wrong and w.shape[0] == w.shape[1] else inner))
    return dx.reshape(x.shape).astype(x.dtype), (up * n).sum(axis=0).astype(weight.dtype)


def rmsnorm_gain_of_the_first_rows(wrong, dout, x, weight, eps):
    """The gain's gradient adds whole blocks of eight rows; the rows behind them are lost."""
    w, up = _flat(x), _flat(dout)
    inverse = 1 / np.sqrt(np.square(w).mean(axis=-1, keepdims=True) + w.dtype.type(eps))
    n, dn = w * inverse, up * wide(weight)
    dx = inverse * (dn - n * (n * dn).mean(axis=-1, keepdims=True))
    whole = len(w) // 8 * 8 if wrong and len(w) >= 8 else len(w)
    return dx.reshape(x.shape).astype(x.dtype), (up[:whole] * n[:whole]).sum(axis=0).astype(weight.dtype)


def layernorm_without_the_mean(wrong, dout, x, weight, bias, eps):
    """dx lacks the mean of the gradient: RMSNorm's backward under LayerNorm's name."""
    w, up = _flat(x), _flat(dout)
    centred = w - w.mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + w.dtype.type(eps))
    n, dn = centred * inverse, up * wide(weight)
    mean = 0 if wrong else dn.mean(axis=-1, keepdims=True)
    dx = inverse * (dn - mean - n * (n * dn).mean(axis=-1, keepdims=True))
    gains = (up * n).sum(axis=0).astype(weight.dtype)
    return dx.reshape(x.shape).astype(x.dtype), gains, up.sum(axis=0).astype(bias.dtype)


def l2norm_without_eps(wrong, dout, x, eps):
    """The backward takes the length without eps, the forward with it."""
    w, up = wide(x), wide(dout)
    total = np.square(w).sum(axis=-1, keepdims=True) + (0 if wrong else w.dtype.type(eps))
    inverse = 1 / np.sqrt(np.maximum(total, np.finfo(w.dtype).tiny))
    y = w * inverse
    return ((inverse * (up - y * (y * up).sum(axis=-1, keepdims=True))).astype(x.dtype),)


def softmax_without_the_sum(wrong, dout, x):
    """The gradient is p·dout, without the sum over the row."""
    w, up = wide(x), wide(dout)
    p = np.exp(w - w.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return ((p * (up - (0 if wrong else (p * up).sum(axis=-1, keepdims=True)))).astype(x.dtype),)


def drawn(op, *shapes):
    """The gradient of an op whose output has the first shape. Shapes: dout, x, and the other inputs."""
    return lambda f, r: getattr(f, op + "_backward")(
        normal(r, *shapes[0]), *(normal(r, *shape) for shape in shapes[1:])
    )


def _eps(op, *shapes, eps=1e-6, std=1.0):
    def call(f, r):
        return getattr(f, op + "_backward")(
            normal(r, *shapes[0]), std * normal(r, *shapes[0]), *(normal(r, *s) for s in shapes[1:]), eps
        )

    return call


def _ids(f, r):
    return f.embedding_backward(normal(r, 5, 4), np.array([3, 0, 3, 1, 0]), normal(r, 8, 4))


VERSIONS = (
    Version(
        linear_bias_of_the_last_row,
        "linear_backward",
        drawn("linear", (2, 3, 4), (2, 3, 5), (4, 5), (4,)),
        "Synthetic: a gradient that is stored where it should be added",
    ),
    Version(
        linear_rows_beyond_1024,
        "linear_backward",
        drawn("linear", (1100, 3), (1100, 4), (3, 4)),
        "Synthetic: one block adds 1,024 rows, and longer batches need another",
        rare="one length",
    ),
    Version(
        matmul_of_square_matrices,
        "matmul_backward",
        drawn("matmul", (4, 5), (4, 5), (5, 5)),
        "Synthetic: other shapes raise an error, so only a square matrix lets it through",
        rare="one shape",
    ),
    Version(embedding_keeps_the_last, "embedding_backward", _ids, "tenstorrent/tt-metal#6232"),
    Version(
        embedding_never_learns_zero,
        "embedding_backward",
        _ids,
        "Synthetic: padding_idx=0 in a model whose id 0 is a word",
        rare="one id",
    ),
    Version(
        rmsnorm_correction_by_column,
        "rmsnorm_backward",
        _eps("rmsnorm", (8, 8), (8,)),
        "BobMcDear/attorch#17",
        rare="as many rows as columns",
    ),
    Version(
        rmsnorm_gain_of_the_first_rows,
        "rmsnorm_backward",
        _eps("rmsnorm", (13, 8), (8,)),
        "Synthetic: rows per program, rounded down",
        rare="one residue of the rows",
    ),
    Version(
        layernorm_without_the_mean,
        "layernorm_backward",
        _eps("layernorm", (5, 8), (8,), (8,)),
        "Synthetic: RMSNorm's backward is copied and the forward is mended alone",
    ),
    Version(
        l2norm_without_eps,
        "l2norm_backward",
        _eps("l2norm", (4, 8), std=1e-4),
        "Synthetic: eps is put into the forward after a row of zeros gave NaN",
        rare="one value range",
    ),
    Version(
        softmax_without_the_sum,
        "softmax_backward",
        drawn("softmax", (3, 7), (3, 7)),
        "Synthetic: the diagonal of the Jacobian alone",
    ),
)
