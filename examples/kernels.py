"""Kernels in NumPy, functions named like the ops of the reference: the least that can be put under contract.

    harness run builtin:ops -k "rmsnorm or softmax or silu" --candidate examples/kernels.py

Arrays come and go as NumPy, in the case's dtype; bfloat16 travels as float32. An op that is not here is UNVERIFIED.
"""

import numpy as np


def rmsnorm(x, weight, eps):
    wide = widened(x)
    return (wide / np.sqrt(np.mean(wide * wide, axis=-1, keepdims=True) + eps) * weight).astype(x.dtype)


def softmax(x):
    wide = widened(x)
    with np.errstate(invalid="ignore"):  # a row with an infinity is NaN, and says so
        e = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True)).astype(x.dtype)


def silu(x):
    wide = widened(x)
    small = np.exp(-np.abs(wide))  # never of a positive number, which overflows
    with np.errstate(invalid="ignore"):
        return (wide * np.where(wide >= 0, 1, small) / (1 + small)).astype(x.dtype)


def widened(x):
    """16 bits are for storage; sums are taken in 32."""
    return x.astype(np.result_type(x, np.float32))
