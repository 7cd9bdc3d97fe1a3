"""Inputs on which wrong products and look-ups show: sizes around blocks, square weights, biases, ids at both ends."""

from __future__ import annotations

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.linear import embedding_forward, linear_forward, matmul_forward


def linear(
    case: Case,
    variant: int = 0,
    *,
    rows: int,
    inner: int,
    outer: int,
    bias: bool,
    mean: float = 0.0,
    batch: int = 0,
) -> Call:
    """Normal rows and a weight scaled so that the output is about 1; with a mean, every product is about mean**2.

    Variant 1 is other data of the same shape.
    Shapes: x (rows, inner), or (batch, rows, inner) with a batch; weight (outer, inner), bias (outer,).
    """
    shape = (batch, rows, inner) if batch else (rows, inner)
    x = case.normal(f"x{variant}", shape, mean=mean, std=0.5 * mean or 1.0)
    std = 0.5 * mean or inner**-0.5
    weight = case.normal(f"weight{variant}", (outer, inner), mean=mean, std=std)
    return Call((x, weight), linear_forward, {"bias": case.normal(f"bias{variant}", (outer,)) if bias else None})


def matmul(case: Case, variant: int = 0, *, rows: int, inner: int, columns: int, batch: int = 3) -> Call:
    """Normal matrices, b scaled so that the output is about 1. Variant 1 is other data of the same shape.

    Shapes: a (batch, rows, inner), b (batch, inner, columns).
    """
    a = case.normal(f"a{variant}", (batch, rows, inner))
    b = case.normal(f"b{variant}", (batch, inner, columns), std=inner**-0.5)
    return Call((a, b), matmul_forward)


def embedding(case: Case, variant: int = 0, *, length: int, vocab: int, width: int, batch: int = 2) -> Call:
    """Ids that repeat and hold the first and the last row; every row of the table differs.

    Variant 1 is other data of the same shape.
    Shapes: tokens (batch, length), weight (vocab, width).
    """
    weight = case.normal(f"weight{variant}", (vocab, width))
    tokens = case.array(f"tokens{variant}", lambda: _ids(case.stream(f"tokens{variant}"), (batch, length), vocab))
    return Call((tokens, weight), embedding_forward)


def _ids(stream: np.random.Generator, shape: tuple[int, int], vocab: int) -> np.ndarray:
    ids = stream.integers(0, vocab, shape)
    ids[0, 0], ids[-1, -1] = 0, vocab - 1
    ids[:, shape[1] // 2] = ids[:, 0]
    return ids
