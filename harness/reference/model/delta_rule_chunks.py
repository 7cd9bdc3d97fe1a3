"""The gated delta rule in chunks: matrix products compute all writes and reads of a chunk's steps at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SPAN = 64
"""Least number of steps between two states that the forward pass stores for the backward pass."""
PANEL = 64
"""Chunks, counted over all heads, that `_prepared` handles at once: enough for NumPy, and few enough for a core's
cache."""


def delta_rule_chunked(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, g: np.ndarray, beta: np.ndarray, state: np.ndarray, chunk: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], int]:
    """Compute all steps of a chunk at once. u_i is the value that step i writes at k_i, D_ij the decay from j to i:

    (1 + tril(beta_i k_i.k_j D_ij, -1)) u = beta (v - exp(sum g) k S),
    out = [exp(sum g) q, tril(q_i.k_j D_ij)] [S; u], S = exp(sum g) S + (D k)^T u.

    Shapes: as `delta_rule_forward` -> out (B, T, H, Dv), state, the states (B, H, Dk, Dv) at which
            spans begin, the number of steps in a span.
    Source: arXiv:2412.06464, section 3.3.
    """
    batch, length, heads, width = v.shape
    inputs = [_chunks(array, chunk) for array in (q, k, v, g, beta)]
    out = np.empty((batch, len(inputs[0]) * chunk, heads, width), v.dtype)
    outs, states = _chunks(out, chunk), []
    # S stands above u in one array, so that one product reads both.
    held = np.concatenate([state, np.zeros((batch, heads, chunk, width), v.dtype)], axis=2)
    every = max(1, SPAN // chunk)
    size = every * max(1, PANEL // (batch * heads * every))
    # exp(-inf) = 0 removes later steps; exp(since_i) / exp(since_j) would be 0 / 0 where the decay is strong.
    later = np.triu(np.full((chunk, chunk), -np.inf), 1)
    for begin in range(0, len(outs), size):
        panel = slice(begin, begin + size)
        states += _run_panel(held, outs[panel], every, later, *(array[panel] for array in inputs))
    return out[:, :length], held[:, :, :-chunk].copy(), states or [state], every * chunk


def _run_panel(
    held: np.ndarray, outs: np.ndarray, every: int, later: np.ndarray, *inputs: np.ndarray
) -> list[np.ndarray]:
    """Run chunks in order, writing `held` and `outs`; return the state before every `every`-th chunk."""
    states, chunk = [], outs.shape[-2]
    S, u = held[:, :, :-chunk], held[:, :, -chunk:]
    for n, (solve, values, keys, reading, writing, decay) in enumerate(_prepared(later, *inputs)):
        if n % every == 0:
            states.append(S.copy())
        np.matmul(solve, values - keys @ S, out=u)
        np.matmul(reading, held, out=outs[n])
        S *= decay
        S += writing @ u
    return states


def _prepared(
    later: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray, g: np.ndarray, beta: np.ndarray
) -> Iterator[tuple[np.ndarray, ...]]:
    """Compute, for each chunk, everything that does not depend on the chunk's initial state.

    Shapes: later (chunk, chunk), q, k (N, B, H, chunk, Dk), v (N, B, H, chunk, Dv), g and beta (N, B, H, chunk)
            -> N times
            solve beta (B, H, chunk, chunk), v, exp(sum g) k, [exp(sum g) q, tril(q.k D)], (D k)^T, exp(sum g).
    """
    chunk, width = k.shape[-2:]
    since = np.cumsum(g, axis=-1)
    past = np.exp(since)[..., None]
    decay = since[..., :, None] - since[..., None, :]
    decay += later
    np.exp(decay, out=decay)
    kT = k.swapaxes(-1, -2).copy()
    reading = np.empty((*k.shape[:-1], width + chunk), k.dtype)
    np.multiply(q, past, out=reading[..., :width])
    np.multiply(q @ kT, decay, out=reading[..., width:])
    system = k @ kT
    system *= decay
    system *= beta[..., None]
    solve = unit_lower_inverse(system)
    solve *= beta[..., None, :]
    keys = k * past
    kT *= decay[..., None, -1, :]
    return zip(solve, v, keys, reading, kT, past[..., -1:, :], strict=True)


def unit_lower_inverse(system: np.ndarray) -> np.ndarray:
    """Invert 1 + tril(system, -1) by halves: [[a, 0], [c, b]]^-1 = [[a^-1, 0], [-b^-1 c a^-1, b^-1]].

    Shapes: (..., n, n) -> the same.
    Source: Higham, Accuracy and Stability of Numerical Algorithms, section 14.2.
    """
    size = system.shape[-1]
    if size <= 8:
        # N = tril(system, -1) has N^8 = 0, so the geometric series (1 - N)(1 + N^2)(1 + N^4) is the inverse.
        nilpotent, one = np.tril(system, -1), np.eye(size)
        square = nilpotent @ nilpotent
        return np.asarray((one - nilpotent) @ (one + square) @ (one + square @ square))
    if size % 2:
        one_more = [(0, 0)] * (system.ndim - 2) + [(0, 1)] * 2
        return unit_lower_inverse(np.pad(system, one_more))[..., :-1, :-1]
    half = size // 2
    upper, lower = unit_lower_inverse(np.stack([system[..., :half, :half], system[..., half:, half:]]))
    out = np.zeros_like(system)
    out[..., :half, :half], out[..., half:, half:] = upper, lower
    np.negative(lower @ (system[..., half:, :half] @ upper), out=out[..., half:, :half])
    return out


def _chunks(array: np.ndarray, chunk: int) -> np.ndarray:
    """(B, T, H, ...) to (chunks, B, H, chunk, ...).

    Zeros fill up the last chunk: a step with beta = 0 and g = 0 leaves the state unchanged.
    """
    missing = -array.shape[1] % chunk
    filled = np.pad(array, [(0, 0), (0, missing), *[(0, 0)] * (array.ndim - 2)]) if missing else array
    rows = filled.reshape(array.shape[0], filled.shape[1] // chunk, chunk, *array.shape[2:])
    return np.moveaxis(rows, (1, 3), (0, 2))
