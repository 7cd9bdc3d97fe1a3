"""A Mamba 2 layer: projection, short convolution, selective scan, gated norm, output projection."""

from __future__ import annotations

import numpy as np

from harness.reference.model.causal_conv import causal_conv_forward
from harness.reference.model.declaration import Mamba2
from harness.reference.model.norms import ACTIVATIONS
from harness.reference.model.tensors import Reader
from harness.reference.ops.activations import silu_forward

Kept = tuple[np.ndarray, np.ndarray] | None
"""The state (B, heads, head_dim, state), and the convolution's last inputs (B, channels, taps - 1)."""


def mamba2_forward(
    m: Mamba2, read: Reader, h: np.ndarray, real: np.ndarray, kept: Kept
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Run one layer over n tokens after those of `kept`.

    state = exp(dt A) state + dt x B^T; y = state C + D x, with dt = clip(softplus(step + dt_bias)) and A = -exp(A_log).
    Shapes: h (B, n, C), real (B, n), False on a row's left padding -> (B, n, C), and what is kept.
    Source: arXiv:2405.21060; transformers' Mamba2Mixer.
    """
    factors = np.repeat(m.factors, m.sizes)
    parts = np.split(read.linear("mamba.in", h) * factors, np.cumsum(m.sizes)[:-1], axis=-1)
    gate, step = parts[0], parts[4]
    mixed = np.concatenate(parts[1:4], axis=-1) * real[..., None]
    state, history = kept if kept is not None else (None, None)
    mixed, history, _ = causal_conv_forward(mixed, read("mamba.conv.weight")[:, 0], history)
    mixed = mixed + read("mamba.conv.bias") if m.conv_bias else mixed
    x, B, C = np.split(ACTIVATIONS[m.act](mixed) * real[..., None], np.cumsum(m.sizes[1:3]), axis=-1)
    dt = np.clip(np.logaddexp(0, step + read("mamba.dt_bias")), *m.steps) * real[..., None]
    y, state = _scan(m, read, x, B, C, dt, state)
    return read.linear("mamba.out", _gated(m, read, y, gate)), (state, history)


def _scan(
    m: Mamba2,
    read: Reader,
    x: np.ndarray,
    B: np.ndarray,
    C: np.ndarray,
    dt: np.ndarray,
    state: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Shapes: x (B, n, inner), B and C (B, n, groups*state), dt (B, n, heads) -> (B, n, inner), the last state."""
    rows, length, _ = x.shape
    each = x.reshape(rows, length, m.heads, m.head_dim)
    B, C = (np.repeat(z.reshape(rows, length, m.groups, m.state), m.heads // m.groups, axis=2) for z in (B, C))
    kept = np.exp(-np.exp(read("mamba.A_log")) * dt)
    state = np.zeros((rows, m.heads, m.head_dim, m.state)) if state is None else state
    out = np.empty(each.shape)
    for t in range(length):
        taken = dt[:, t, :, None, None] * each[:, t, :, :, None] * B[:, t, :, None, :]
        state = kept[:, t, :, None, None] * state + taken
        out[:, t] = np.einsum("bhps,bhs->bhp", state, C[:, t])
    return (out + read("mamba.D")[:, None] * each).reshape(x.shape), state


def _gated(m: Mamba2, read: Reader, y: np.ndarray, gate: np.ndarray) -> np.ndarray:
    """y * silu(gate), normalised before or after in parts. Shapes: (B, n, inner) twice -> (B, n, inner)."""
    opened = silu_forward(gate)[0]
    if m.norm is None:
        return y * opened
    if m.norm_before_gate:
        return _in_parts(m, read, y) * opened
    return _in_parts(m, read, y * opened)


def _in_parts(m: Mamba2, read: Reader, y: np.ndarray) -> np.ndarray:
    assert m.norm is not None
    parts = y.reshape(*y.shape[:-1], m.norm_groups or m.groups, -1)
    inverse = 1 / np.sqrt(np.mean(parts * parts, axis=-1, keepdims=True) + m.norm.eps)
    return (parts * inverse).reshape(y.shape) * read("mamba.norm.weight")
