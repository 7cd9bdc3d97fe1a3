"""Kernels in NumPy, as functions with the names of the reference's ops: the smallest candidate.

    harness run builtin:ops -k "rmsnorm or softmax or silu" --candidate examples/kernels.py

Functions get and return NumPy arrays in the case's dtype; bfloat16 values come as float32. Claims on an op or a
backward that is missing here are UNVERIFIED.
"""

import numpy as np


def rmsnorm(x, weight, eps):
    wide = widened(x)
    return (wide / np.sqrt(np.mean(wide * wide, axis=-1, keepdims=True) + eps) * weight).astype(x.dtype)


def softmax(x):
    wide = widened(x)
    with np.errstate(invalid="ignore"):  # a row with an infinity gives NaN
        e = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True)).astype(x.dtype)


def silu(x):
    wide = widened(x)
    small = np.exp(-np.abs(wide))  # exp of a large positive number would overflow
    with np.errstate(invalid="ignore"):
        return (wide * np.where(wide >= 0, 1, small) / (1 + small)).astype(x.dtype)


def widened(x):
    """float16 values as float32, in which sums are computed; other dtypes unchanged."""
    return x.astype(np.result_type(x, np.float32))
