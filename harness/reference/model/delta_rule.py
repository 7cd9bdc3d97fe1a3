"""The gated delta rule: the state decays, then each step corrects it by its error in predicting the value."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.reference.model.delta_rule_chunks import SPAN, delta_rule_chunked


def delta_rule_forward(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    g: np.ndarray,
    beta: np.ndarray,
    state: np.ndarray | None = None,
    *,
    chunk: int | None = None,
) -> tuple[np.ndarray, np.ndarray, tuple[Any, ...]]:
    """S = exp(g) S; S = S + k (beta (v - S^T k))^T; out = S^T q, step by step, or `chunk` steps as matrix products.

    Shapes: q, k (B, T, H, Dk), v (B, T, H, Dv), g and beta (B, T, H), state (B, H, Dk, Dv), zeros if None
            -> out (B, T, H, Dv), state, cache. The caller has repeated the heads of q and k and scaled q.
    Units:  g is the logarithm of the decay, at most 0; beta in (0, 1).
    Raises: ValueError if the shapes do not fit.
    Source: arXiv:2412.06464, equations 8 to 10; chunks as in section 3.3.
    """
    _check(q, k, v, g, beta, state)
    if state is None:
        state = np.zeros((*np.delete(q.shape, 1), v.shape[-1]))
    if chunk is None:
        out, state, states, span = _recurrent(q, k, v, g, beta, state)
    else:
        out, state, states, span = delta_rule_chunked(q, k, v, g, beta, state, chunk)
    return out, state, (q, k, v, g, beta, states, span)


def delta_rule_backward(
    dout: np.ndarray, dstate: np.ndarray | None, cache: tuple[Any, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Propagate the state's adjoint back through time; recompute the states of one span at a time.

    Shapes: dout (B, T, H, Dv), dstate of the final state -> dq, dk, dv, dg, dbeta, dstate of the initial state.
    Units:  time is linear in T; memory holds T / span states and the states of one span.
    """
    q, k, v, g, beta, states, span = cache
    grads = tuple(np.zeros_like(array) for array in (q, k, v, g, beta))
    dS = np.zeros_like(states[0]) if dstate is None else dstate.copy()
    for begin in reversed(range(0, q.shape[1], span)):
        dS = _span_backward(slice(begin, begin + span), states[begin // span], dS, dout, (q, k, v, g, beta), grads)
    dq, dk, dv, dg, dbeta = grads
    return dq, dk, dv, dg, dbeta, dS


def _recurrent(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, g: np.ndarray, beta: np.ndarray, S: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], int]:
    out, states = np.zeros_like(v), []
    for t in range(q.shape[1]):
        if t % SPAN == 0:
            states.append(S)
        S, _, _ = _step(S, k[:, t], v[:, t], g[:, t], beta[:, t])
        out[:, t] = _read(S, q[:, t])
    return out, S, states or [S], SPAN


def _step(
    S: np.ndarray, k: np.ndarray, v: np.ndarray, g: np.ndarray, beta: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(next state, decayed state, its error in predicting v). Shapes: S (B, H, Dk, Dv), k (B, H, Dk), v (B, H, Dv)."""
    decayed = np.exp(g)[..., None, None] * S
    error = v - _read(decayed, k)
    return decayed + k[..., :, None] * (beta[..., None] * error)[..., None, :], decayed, error


def _read(S: np.ndarray, k: np.ndarray) -> np.ndarray:
    """S^T k. Shapes: (B, H, Dk, Dv), (B, H, Dk) -> (B, H, Dv)."""
    return np.asarray((k[..., None, :] @ S)[..., 0, :])


def _span_backward(
    steps: slice,
    S: np.ndarray,
    dS: np.ndarray,
    dout: np.ndarray,
    inputs: tuple[np.ndarray, ...],
    grads: tuple[np.ndarray, ...],
) -> np.ndarray:
    """Write the gradients of one span's steps into `grads`; return the adjoint of the state before the span."""
    q, k, v, g, beta = (array[:, steps] for array in inputs)
    dq, dk, dv, dg, dbeta = (array[:, steps] for array in grads)
    seen = []
    for t in range(q.shape[1]):
        S, decayed, error = _step(S, k[:, t], v[:, t], g[:, t], beta[:, t])
        seen.append((S, decayed, error))
    for t in reversed(range(q.shape[1])):
        after, decayed, error = seen[t]
        do = dout[:, steps][:, t]
        dq[:, t] = _write(after, do)
        dS = dS + q[:, t][..., :, None] * do[..., None, :]
        du = _read(dS, k[:, t])
        derror = beta[:, t][..., None] * du
        dk[:, t] = _write(dS, beta[:, t][..., None] * error) - _write(decayed, derror)
        dv[:, t] = derror
        dbeta[:, t] = np.sum(du * error, axis=-1)
        ddecayed = dS - k[:, t][..., :, None] * derror[..., None, :]
        dg[:, t] = np.sum(ddecayed * decayed, axis=(-1, -2))
        dS = np.exp(g[:, t])[..., None, None] * ddecayed
    return np.asarray(dS)


def _write(S: np.ndarray, u: np.ndarray) -> np.ndarray:
    """S u. Shapes: (B, H, Dk, Dv), (B, H, Dv) -> (B, H, Dk)."""
    return np.asarray((S @ u[..., None])[..., 0])


def _check(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, g: np.ndarray, beta: np.ndarray, state: np.ndarray | None
) -> None:
    fits = q.ndim == 4 == v.ndim and q.shape == k.shape and v.shape[:3] == q.shape[:3]
    if not fits or g.shape != q.shape[:3] or beta.shape != g.shape:
        raise ValueError(
            f"delta_rule: found q {q.shape}, k {k.shape}, v {v.shape}, g {g.shape}, beta {beta.shape}, "
            "expected q, k (B, T, H, Dk), v (B, T, H, Dv), g and beta (B, T, H)"
        )
    want = (q.shape[0], q.shape[2], q.shape[3], v.shape[3])
    if state is not None and state.shape != want:
        raise ValueError(f"delta_rule: found state {state.shape}, expected {want}")
