"""Correct products of matrices in other orders."""

from types import SimpleNamespace

import numpy as np

from reordered.width import in_float64, narrowed, wide


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


def one_hot_embedding(tokens, weight):
    return ((tokens[..., None] == np.arange(len(weight))).astype(weight.dtype) @ weight).astype(weight.dtype)


KERNELS = {
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
}
