"""Correct norms: pairwise, in one accumulator, by Welford, in two torch steps."""

from types import SimpleNamespace

import numpy as np
import torch

from reordered.width import in_float64, wide


def numpy_rmsnorm(x, weight, eps):
    w = wide(x)
    return (w / np.sqrt(np.mean(w * w, axis=-1, keepdims=True) + w.dtype.type(eps)) * wide(weight)).astype(x.dtype)


def rmsnorm_in_column_order(x, weight, eps):
    """The squares added one column after the other, last first: the longest chain there is."""
    w = wide(x)
    total = np.add.accumulate((w * w)[..., ::-1], axis=-1)[..., -1:]
    return (w * (1 / np.sqrt(total / w.dtype.type(w.shape[-1]) + w.dtype.type(eps))) * wide(weight)).astype(x.dtype)


def rmsnorm_torch_two_steps(x, weight, eps):
    w = x.double() if x.dtype == torch.float64 else x.float()
    norm = torch.linalg.vector_norm(w, dim=-1, keepdim=True) * w.shape[-1] ** -0.5
    return (w * (weight.to(w.dtype) * torch.rsqrt(norm * norm + eps))).to(x.dtype)


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


KERNELS = {
    "rmsnorm": {
        "numpy": SimpleNamespace(rmsnorm=numpy_rmsnorm),
        "sequential sums": SimpleNamespace(rmsnorm=rmsnorm_in_column_order),
        "torch, two steps": SimpleNamespace(ARRAYS="torch", rmsnorm=rmsnorm_torch_two_steps),
        "float64 inside": SimpleNamespace(rmsnorm=in_float64(numpy_rmsnorm)),
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
}
