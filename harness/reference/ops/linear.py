"""Matrix products of a model: linear layer, batched matmul and embedding lookup."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def linear_forward(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """x weight^T + bias.

    Shapes: x (..., I), weight (O, I), bias (O,) or None -> out (..., O), cache (x, weight, bias).
    Raises: ValueError if the shapes do not fit.
    Source: torch.nn.functional.linear, which stores a weight as (out, in).
    """
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: found x {x.shape} and weight {weight.shape}, expected x (..., I) and weight (O, I)")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: found bias {bias.shape}, expected {weight.shape[:1]}")
    out = x @ weight.T
    return (out if bias is None else out + bias), (x, weight, bias)


def linear_backward(dout: np.ndarray, cache: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """dx = dout weight; dweight = dout^T x and dbias = sum of dout, over every row of every batch.

    Shapes: dout (..., O) -> dx (..., I), dweight (O, I), dbias (O,), None without a bias.
    Source: Goodfellow et al., Deep Learning, section 6.5.
    """
    x, weight, bias = cache
    rows = dout.reshape(-1, weight.shape[0])
    dweight = rows.T @ x.reshape(-1, weight.shape[1])
    return dout @ weight, dweight, None if bias is None else rows.sum(axis=0)


def matmul_forward(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, tuple[Any, ...]]:
    """The product a b of each pair of matrices.

    Shapes: a (..., M, K), b (..., K, N), leading axes equal -> out (..., M, N), cache (a, b).
    Raises: ValueError if the shapes do not fit.
    """
    if a.ndim < 2 or a.ndim != b.ndim or a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"matmul: found a {a.shape} and b {b.shape}, expected (..., M, K) and (..., K, N)")
    return a @ b, (a, b)


def matmul_backward(dout: np.ndarray, cache: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray]:
    """da = dout b^T, db = a^T dout, for each pair of matrices.

    Shapes: dout (..., M, N) -> da (..., M, K), db (..., K, N).
    """
    a, b = cache
    return dout @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ dout


def embedding_forward(tokens: NDArray[np.integer], weight: np.ndarray) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Row tokens[i] of weight for each i, unscaled.

    Shapes: tokens (...) of integers in [0, V), weight (V, C) -> out (..., C), cache (tokens, V).
    Raises: ValueError on an id outside [0, V); NumPy would read a negative id from the table's end.
    Source: torch.nn.functional.embedding.
    """
    rows = weight.shape[0]
    if tokens.dtype.kind not in "iu":
        raise ValueError(f"embedding: found ids of type {tokens.dtype}, expected integers")
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < rows:
        raise ValueError(f"embedding: found ids {tokens.min()} to {tokens.max()}, expected 0 to {rows - 1}")
    return weight[tokens], (tokens, rows)


def embedding_backward(dout: np.ndarray, cache: tuple[Any, ...]) -> np.ndarray:
    """Sum into each row of dweight the gradients of all positions whose id is that row.

    Shapes: dout (..., C) -> dweight (V, C); the ids have no gradient.
    Source: torch.nn.functional.embedding under autograd.
    """
    tokens, rows = cache
    dweight = np.zeros((rows, dout.shape[-1]), dtype=dout.dtype)
    np.add.at(dweight, tokens, dout)  # dweight[tokens] += dout would add only once per repeated id
    return dweight
