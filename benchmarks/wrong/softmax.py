"""Softmax, wrong in one place each."""

import numpy as np
from reordered.width import wide

from wrong.version import Version, normal

BLOCK = 64


def _over_last(x, axis):
    return np.moveaxis(wide(x), axis, -1)


def _divided(weights, x, axis):
    return np.moveaxis(weights / weights.sum(axis=-1, keepdims=True), -1, axis).astype(x.dtype)


def maximum_follows_the_block(wrong, x, axis=-1):
    """Online: the running maximum is the latest block's, and the sum is rescaled only when it grows."""
    w = _over_last(x, axis)
    top, total = np.full((*w.shape[:-1], 1), -1e30, w.dtype), np.zeros((*w.shape[:-1], 1), w.dtype)
    for start in range(0, w.shape[-1], BLOCK):
        block = w[..., start : start + BLOCK]
        own = block.max(axis=-1, keepdims=True)
        new = own if wrong else np.maximum(top, own)
        total = total * np.exp(np.minimum(top - new, 0)) + np.exp(block - new).sum(axis=-1, keepdims=True)
        top = new
    return np.moveaxis(np.exp(w - top) / total, -1, axis).astype(x.dtype)


def zeros_in_the_last_block(wrong, x, axis=-1):
    """The last block of 64 is filled up with zeros, which take part in the sum."""
    w = _over_last(x, axis)
    weights = np.exp(w - w.max(axis=-1, keepdims=True))
    total = weights.sum(axis=-1, keepdims=True)
    if wrong:
        total = total + (-w.shape[-1] % BLOCK) * np.exp(-w.max(axis=-1, keepdims=True))
    return np.moveaxis(weights / total, -1, axis).astype(x.dtype)


def block_of_minus_infinity(wrong, x, axis=-1):
    """A block that holds nothing but −inf makes the row NaN: exp(−inf − −inf)."""
    w = _over_last(x, axis)
    top = w.max(axis=-1, keepdims=True)
    weights = np.exp(w - top)
    for start in range(0, w.shape[-1], BLOCK):
        block = w[..., start : start + BLOCK]
        masked = np.isneginf(block).all(axis=-1, keepdims=True) & np.isfinite(top)
        weights = np.where(wrong & masked, np.nan, weights)
    return _divided(weights, x, axis)


def maximum_from_zero(wrong, x, axis=-1):
    """The maximum starts at 0, so that a row far below 0 underflows to 0 / 0."""
    w = _over_last(x, axis)
    return _divided(np.exp(w - w.max(axis=-1, keepdims=True, initial=0 if wrong else -np.inf)), x, axis)


def maximum_of_the_first_1024(wrong, x, axis=-1):
    """The maximum is that of the first 1,024 numbers: one far above it further on overflows."""
    w = _over_last(x, axis)
    return _divided(np.exp(w - (w[..., :1024] if wrong else w).max(axis=-1, keepdims=True)), x, axis)


def sum_in_half(wrong, x, axis=-1):
    """The sum is kept in float16, where adding less than 1 to 2,048 changes nothing."""
    w = _over_last(x, axis)
    weights = np.exp(w - w.max(axis=-1, keepdims=True))
    if not wrong or x.dtype != np.float16:
        return _divided(weights, x, axis)
    total = np.add.accumulate(weights.astype(np.float16), axis=-1)[..., -1:].astype(w.dtype)
    return np.moveaxis(weights / total, -1, axis).astype(x.dtype)


def far_numbers_are_floored(wrong, x, axis=-1):
    """Differences from the maximum are clamped at −10, so what is far below keeps a weight."""
    w = _over_last(x, axis)
    below = w - w.max(axis=-1, keepdims=True)
    return _divided(np.exp(np.maximum(below, -10) if wrong else below), x, axis)


def two_halves_of_long_rows(wrong, x, axis=-1):
    """Rows beyond 2,048 are split in two, and the two sums are added without a common maximum."""
    w = _over_last(x, axis)
    top = w.max(axis=-1, keepdims=True)
    if not wrong or w.shape[-1] <= 2048:
        return _divided(np.exp(w - top), x, axis)
    parts = np.array_split(w, 2, axis=-1)
    total = sum(np.exp(part - part.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True) for part in parts)
    return np.moveaxis(np.exp(w - top) / total, -1, axis).astype(x.dtype)


def without_the_maximum(wrong, x, axis=-1):
    """The maximum is not subtracted: exp overflows above 88."""
    w = _over_last(x, axis)
    return _divided(np.exp(w - (0 if wrong else w.max(axis=-1, keepdims=True))), x, axis)


def _rows(rows, length, *, size=1.0, shift=0.0, dtype=np.float32):
    return lambda f, r: f.softmax((shift + size * normal(r, rows, length)).astype(dtype))


def _falling(f, r):
    return f.softmax(normal(r, 3, 200) + np.linspace(9, 0, 200, dtype=np.float32))


def _masked_start(f, r):
    x = normal(r, 3, 200)
    x[1, :100] = -np.inf
    return f.softmax(x)


def _late_peak(f, r):
    x = normal(r, 3, 1500)
    x[:, 1400] = 120
    return f.softmax(x)


VERSIONS = (
    Version(
        maximum_follows_the_block,
        "softmax",
        _falling,
        "given: tile-ai/TileOPs#239",
        rare="maxima that fall block by block",
    ),
    Version(
        zeros_in_the_last_block,
        "softmax",
        _rows(3, 100, shift=-5),
        "Synthetic: a masked load fills up with 0, which is right for a sum and wrong for exp",
        rare="one residue of the length",
    ),
    Version(block_of_minus_infinity, "softmax", _masked_start, "flashinfer-ai/flashinfer#1178", rare="one value"),
    Version(
        maximum_from_zero,
        "softmax",
        _rows(2, 64, shift=-200),
        "Synthetic: a maximum starts at 0 where the author thinks of probabilities",
        rare="one value range",
    ),
    Version(
        maximum_of_the_first_1024,
        "softmax",
        _late_peak,
        "Synthetic: one thread per number, 1,024 threads, and a loop around the sum only",
        rare="one length",
    ),
    Version(
        sum_in_half,
        "softmax",
        _rows(2, 4097, size=0.1, dtype=np.float16),
        "Synthetic: the accumulator takes the input's type",
        rare="one length",
    ),
    Version(
        far_numbers_are_floored,
        "softmax",
        _rows(3, 64, size=10),
        "Synthetic: a polynomial for exp holds on a short range and its argument is clamped to it",
        rare="one value range",
    ),
    Version(
        two_halves_of_long_rows,
        "softmax",
        _rows(2, 3000, size=3),
        "Synthetic: split reductions for long rows are tested on equal numbers",
        rare="one length",
    ),
    Version(without_the_maximum, "softmax", _rows(2, 64, shift=200), "NVIDIA/DeepLearningExamples#169"),
)
