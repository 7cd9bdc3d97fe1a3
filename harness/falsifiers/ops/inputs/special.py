"""Inputs with NaN, infinities and overflowing squares at known places, between rows that have none.

Shapes: elementwise ops (11 + rows * length, 1), a row per element; norms and softmax (rows, length);
        attention: `rows` queries over `rows + length` keys.
"""

from __future__ import annotations

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.activations import (
    elu_forward,
    gelu_forward,
    gelu_tanh_forward,
    leaky_relu_forward,
    relu_forward,
    sigmoid_forward,
    silu_forward,
    swiglu_forward,
    tanh_forward,
)
from harness.reference.ops.attention import attention_forward
from harness.reference.ops.norm import l2norm_forward, layernorm_forward, rmsnorm_forward
from harness.reference.ops.softmax import softmax_forward

EPS = 1e-12
"""BERT's eps: below the smallest float16, where it is 0 and a row of zeros becomes 0 / 0."""
OVERFLOWING = {"float16": 300.0}
"""Values whose square exceeds the format's range."""
HEADS, KV_HEADS, HEAD_DIM = 4, 2, 8


def gelu_special(case: Case, rows: int, length: int) -> Call:
    """Shapes: x (11 + rows * length, 1)."""
    return Call((_elements(case, rows, length),), gelu_forward)


def gelu_tanh_special(case: Case, rows: int, length: int) -> Call:
    """Shapes: x (11 + rows * length, 1)."""
    return Call((_elements(case, rows, length),), gelu_tanh_forward)


def silu_special(case: Case, rows: int, length: int) -> Call:
    """Shapes: x (11 + rows * length, 1)."""
    return Call((_elements(case, rows, length),), silu_forward)


def relu_special(case: Case, rows: int, length: int) -> Call:
    """Shapes: x (11 + rows * length, 1)."""
    return Call((_elements(case, rows, length),), relu_forward)


def leaky_relu_special(case: Case, rows: int, length: int) -> Call:
    """Shapes: x (11 + rows * length, 1)."""
    return Call((_elements(case, rows, length), 0.2), leaky_relu_forward)


def elu_special(case: Case, rows: int, length: int) -> Call:
    """Shapes: x (11 + rows * length, 1)."""
    return Call((_elements(case, rows, length), 0.5), elu_forward)


def sigmoid_special(case: Case, rows: int, length: int) -> Call:
    """Shapes: x (11 + rows * length, 1)."""
    return Call((_elements(case, rows, length),), sigmoid_forward)


def tanh_special(case: Case, rows: int, length: int) -> Call:
    """Shapes: x (11 + rows * length, 1)."""
    return Call((_elements(case, rows, length),), tanh_forward)


def swiglu_special(case: Case, rows: int, length: int) -> Call:
    """Every special gate meets an ordinary up, and an ordinary gate every special up."""
    special, other = _special(case), np.full(len(_special(case)), 0.75)
    gate = case.array("gate", lambda: _column(special, other, case.stream("gate").standard_normal(rows * length)))
    up = case.array("up", lambda: _column(other, special, case.stream("up").standard_normal(rows * length)))
    return Call((gate, up), swiglu_forward)


def _elements(case: Case, rows: int, length: int) -> np.ndarray:
    return case.array("x", lambda: _column(_special(case), case.stream("x").standard_normal(rows * length)))


def _special(case: Case) -> np.ndarray:
    big = OVERFLOWING.get(case.dtype, 1e20)
    return np.array([1.0, np.nan, -1.0, np.inf, 0.0, -np.inf, big, -big, 100.0, -100.0, -0.0])


def _column(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts)[:, None]


def _matrix(case: Case, rows: int, length: int) -> np.ndarray:
    """Six kinds of rows in turn: ordinary, NaN, +Inf, -Inf, all overflowing when squared, all zero."""

    def build() -> np.ndarray:
        stream = case.stream("x")
        x = stream.standard_normal((rows, length))
        at = stream.integers(0, length, rows)
        big = OVERFLOWING.get(case.dtype, 1e20)
        for row, (kind, place) in enumerate(zip(np.arange(rows) % 6, at, strict=True)):
            if kind in (1, 2, 3):
                x[row, place] = {1: np.nan, 2: np.inf, 3: -np.inf}[int(kind)]
            elif kind:
                x[row] = big * np.sign(x[row]) if kind == 4 else 0.0
        return x

    return case.array("x", build)


def rmsnorm_special(case: Case, rows: int, length: int) -> Call:
    weight = case.normal("weight", (length,), mean=1.0, std=0.3)
    return Call((_matrix(case, rows, length), weight, EPS), rmsnorm_forward)


def layernorm_special(case: Case, rows: int, length: int) -> Call:
    weight, bias = case.normal("weight", (length,), mean=1.0, std=0.3), case.normal("bias", (length,))
    return Call((_matrix(case, rows, length), weight, bias, EPS), layernorm_forward)


def l2norm_special(case: Case, rows: int, length: int) -> Call:
    return Call((_matrix(case, rows, length), EPS), l2norm_forward)


def softmax_special(case: Case, rows: int, length: int) -> Call:
    return Call((_matrix(case, rows, length),), softmax_forward)


def attention_special(case: Case, rows: int, length: int) -> Call:
    """Batch entries: ordinary, NaN in the first value, NaN in one query, Inf in the first key, scores above 65504.

    What is spoilt stands where every query may see it: behind a mask, kernels rightly differ.
    """
    q = case.array("q", _spoilt(case, "q", HEADS, rows))
    k = case.array("k", _spoilt(case, "k", KV_HEADS, rows + length))
    v = case.array("v", _spoilt(case, "v", KV_HEADS, rows + length))
    return Call((q, k, v), attention_forward, {"offset": length})


def _spoilt(case: Case, name: str, heads: int, size: int) -> np.ndarray:
    x = case.stream(name).standard_normal((5, heads, size, HEAD_DIM))
    if name == "v":
        x[1, :, 0, 0] = np.nan
    else:
        x[4] = 300.0 * np.sign(x[4])
    if name == "q":
        x[2, 0, size // 2, 0] = np.nan
    if name == "k":
        x[3, :, 0, 0] = np.inf
    return x
