"""LayerNorm and L2 normalisation, wrong in one place each."""

import numpy as np
from reordered.width import wide

from wrong.version import Version, normal


def _centred(w):
    return w - w.mean(axis=-1, keepdims=True)


def _scaled(centred, variance, weight, bias, eps, dtype):
    number = centred.dtype.type
    return (centred / np.sqrt(variance + number(eps)) * wide(weight) + wide(bias)).astype(dtype)


def variance_in_one_pass(wrong, x, weight, bias, eps):
    """The variance is mean(x²) − mean(x)², which cancels where the mean is large."""
    w = wide(x)
    centred = _centred(w)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    if wrong:
        mean = w.mean(axis=-1, keepdims=True)
        variance = np.maximum(np.square(w).mean(axis=-1, keepdims=True) - mean * mean, 0)
    return _scaled(centred, variance, weight, bias, eps, x.dtype)


def small_variance_is_none(wrong, x, weight, bias, eps):
    """A variance below 1e-6 is set to 0."""
    centred = _centred(wide(x))
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return _scaled(centred, np.where(wrong & (variance < 1e-6), 0, variance), weight, bias, eps, x.dtype)


def padded_lanes_are_centred(wrong, x, weight, bias, eps):
    """The lanes that fill a row up to a power of two hold 0, and their squared distance from the mean is added."""
    w = wide(x)
    centred, size = _centred(w), w.shape[-1]
    total = np.square(centred).sum(axis=-1, keepdims=True)
    if wrong:
        total += ((1 << (size - 1).bit_length()) - size) * np.square(w.mean(axis=-1, keepdims=True))
    return _scaled(centred, total / w.dtype.type(size), weight, bias, eps, x.dtype)


def unbiased_variance(wrong, x, weight, bias, eps):
    """The variance divides by the number of columns less one."""
    centred = _centred(wide(x))
    size = centred.dtype.type(max(x.shape[-1] - bool(wrong), 1))
    return _scaled(centred, np.square(centred).sum(axis=-1, keepdims=True) / size, weight, bias, eps, x.dtype)


def bias_left_out_of_one_row(wrong, x, weight, bias, eps):
    """The path for a single row, as in decoding, has no bias."""
    centred = _centred(wide(x))
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    used = np.zeros_like(bias) if wrong and x.size == x.shape[-1] else bias
    return _scaled(centred, variance, weight, used, eps, x.dtype)


def rows_in_sixteen_bits(wrong, x, weight, bias, eps):
    """Row numbers are 16 bits wide: from row 65,536 on nothing is written."""
    centred = _centred(wide(x))
    out = _scaled(centred, np.square(centred).mean(axis=-1, keepdims=True), weight, bias, eps, x.dtype)
    rows = out.reshape(-1, x.shape[-1])
    if wrong:
        rows[65536:] = 0
    return rows.reshape(x.shape)


def long_rows_centred_by_their_start(wrong, x, weight, bias, eps):
    """Rows beyond 4,096 columns take the mean of the first 4,096."""
    w = wide(x)
    mean = (w[..., :4096] if wrong else w).mean(axis=-1, keepdims=True)
    return _scaled(w - mean, np.square(w - mean).mean(axis=-1, keepdims=True), weight, bias, eps, x.dtype)


def gain_and_bias_swapped(wrong, x, weight, bias, eps):
    """Gain and bias change places."""
    centred = _centred(wide(x))
    gain, added = (bias, weight) if wrong else (weight, bias)
    return _scaled(centred, np.square(centred).mean(axis=-1, keepdims=True), gain, added, eps, x.dtype)


def eps_as_a_floor(wrong, x, eps):
    """x / max(length, eps), as torch.nn.functional.normalize: small rows keep another length."""
    w = wide(x)
    total, eps = np.square(w).sum(axis=-1, keepdims=True), w.dtype.type(eps)
    return (w / (np.maximum(np.sqrt(total), eps) if wrong else np.sqrt(total + eps))).astype(x.dtype)


def squares_underflow(wrong, x, eps):
    """Squares in float16: numbers below 2⁻¹² become 0."""
    w = wide(x)
    squares = np.square(w).astype(np.float16).astype(w.dtype) if wrong and x.dtype == np.float16 else np.square(w)
    return (w / np.sqrt(squares.sum(axis=-1, keepdims=True) + w.dtype.type(eps))).astype(x.dtype)


def last_of_an_odd_row(wrong, x, eps):
    """Numbers are read in pairs; the last of an odd row is left out of the length."""
    w = wide(x)
    seen = w[..., : w.shape[-1] // 2 * 2] if wrong and w.shape[-1] > 1 else w
    return (w / np.sqrt(np.square(seen).sum(axis=-1, keepdims=True) + w.dtype.type(eps))).astype(x.dtype)


def length_by_the_mean(wrong, x, eps):
    """The root of the mean square instead of the sum: RMSNorm under another name."""
    w = wide(x)
    total = np.square(w).mean(axis=-1, keepdims=True) if wrong else np.square(w).sum(axis=-1, keepdims=True)
    return (w / np.sqrt(total + w.dtype.type(eps))).astype(x.dtype)


def _layer(rows, columns, *, mean=0.0, std=1.0, eps=1e-5, dtype=np.float32):
    def call(f, r):
        x = (mean + std * normal(r, rows, columns)).astype(dtype)
        return f.layernorm(x, normal(r, columns, dtype=dtype), normal(r, columns, dtype=dtype), eps)

    return call


def _length(rows, columns, *, std=1.0, eps=1e-6, dtype=np.float32):
    return lambda f, r: f.l2norm((std * normal(r, rows, columns)).astype(dtype), eps)


VERSIONS = (
    Version(
        variance_in_one_pass, "layernorm", _layer(3, 512, mean=2000), "tracel-ai/burn#5607", rare="one value range"
    ),
    Version(
        small_variance_is_none,
        "layernorm",
        _layer(3, 64, std=5e-4, eps=1e-12),
        "pytorch/pytorch#190491",
        rare="one value range",
    ),
    Version(
        padded_lanes_are_centred,
        "layernorm",
        _layer(3, 80, mean=1.0),
        "Synthetic: a Triton kernel masks the load with other=0 and then subtracts the mean from every lane",
        rare="lengths that are no power of two",
    ),
    Version(
        unbiased_variance,
        "layernorm",
        _layer(3, 64),
        "Synthetic: torch.var divides by one less unless it is told not to",
    ),
    Version(
        bias_left_out_of_one_row,
        "layernorm",
        _layer(1, 768),
        "Synthetic: the decoding path was written for RMSNorm, which has no bias",
        rare="one row count",
    ),
    Version(
        rows_in_sixteen_bits,
        "layernorm",
        _layer(65537, 2),
        "Synthetic: the second dimension of a CUDA grid ends at 65,535, and long batches of short rows exceed it",
        rare="more rows than a type holds",
    ),
    Version(
        long_rows_centred_by_their_start,
        "layernorm",
        _layer(2, 4097, mean=1.0),
        "Synthetic: one block holds 4,096 numbers, and only the sum of squares was made to loop",
        rare="one length",
    ),
    Version(
        gain_and_bias_swapped, "layernorm", _layer(3, 64), "Synthetic: two vectors of one shape, passed by position"
    ),
    Version(
        eps_as_a_floor,
        "l2norm",
        _length(3, 128, std=1e-4),
        "Synthetic: F.normalize and FLA's l2norm differ in how they use eps, and agree on rows of ordinary size",
        rare="one value range",
    ),
    Version(
        squares_underflow,
        "l2norm",
        _length(3, 64, std=1e-4, dtype=np.float16, eps=1e-12),
        "Synthetic: float16 squares are taken before they are widened",
        rare="one value range",
    ),
    Version(
        last_of_an_odd_row,
        "l2norm",
        _length(3, 33),
        "Synthetic: half2 loads without a tail",
        rare="one residue of the length",
    ),
    Version(length_by_the_mean, "l2norm", _length(3, 128), "Synthetic: one kernel serves both norms by a flag"),
)
