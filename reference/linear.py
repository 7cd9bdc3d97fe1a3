"""Matrix products of a model: linear layer, batched product, and rows looked up by id."""

from __future__ import annotations

from typing import Any

import numpy as np


def linear_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """x weight^T + bias.

    Shapes: x (..., I), weight (O, I), bias (O,) or None -> out (..., O), cache (x, weight, bias).
    Raises: ValueError if the shapes do not fit.
    Source: torch.nn.functional.linear, which keeps a weight as (out, in).
    """
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: found x {x.shape} and weight {weight.shape}, expected x (..., I) and weight (O, I)")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: found bias {bias.shape}, expected {weight.shape[:1]}")
    out = x @ weight.T
    return (out if bias is None else out + bias), (x, weight, bias)


def matmul_forward(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, tuple[Any, ...]]:
    """The product a b of each pair of matrices.

    Shapes: a (..., M, K), b (..., K, N), leading axes equal -> out (..., M, N), cache (a, b).
    Raises: ValueError if the shapes do not fit.
    """
    if a.ndim < 2 or a.ndim != b.ndim or a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"matmul: found a {a.shape} and b {b.shape}, expected (..., M, K) and (..., K, N)")
    return a @ b, (a, b)


def embedding_forward(tokens: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Row tokens[i] of weight for each i, unscaled.

    Shapes: tokens (...) of integers in [0, V), weight (V, C) -> out (..., C), cache (tokens, V).
    Raises: ValueError on an id outside the table: a negative one would count from its end.
    Source: torch.nn.functional.embedding.
    """
    rows = weight.shape[0]
    if tokens.dtype.kind not in "iu":
        raise ValueError(f"embedding: found ids of type {tokens.dtype}, expected integers")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < rows:
        raise ValueError(f"embedding: found ids {tokens.min()} to {tokens.max()}, expected 0 to {rows - 1}")
    return weight[tokens], (tokens, rows)
