"""Declared attention: projections, norms, RoPE, mask, softmax with or without a sink, gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.reference.model.declaration import Attention, Latent, Norm, Rope
from harness.reference.model.norms import apply_norm
from harness.reference.model.tensors import Reader
from harness.reference.ops.activations import sigmoid_forward
from harness.reference.ops.rope import rope_frequencies
from harness.reference.ops.softmax import softmax_forward

At = Callable[[str, np.ndarray], np.ndarray]
"""(stage, value) -> the value that later stages read."""
KeyValues = tuple[np.ndarray, np.ndarray]
"""Keys, rotated, and values, (B, KV, S, D) each."""


@dataclass(frozen=True)
class Places:
    """Where a pass's tokens are. Shapes: real (B, S), False on padding, of which the last n are new."""

    real: np.ndarray
    new: int

    @property
    def positions(self) -> np.ndarray:
        """Of the new tokens, real ones counted. Shapes: (B, n)."""
        return self._all()[:, -self.new :]

    def _all(self) -> np.ndarray:
        return np.maximum(np.cumsum(self.real, axis=1) - 1, 0)

    def visible(self, window: int | None, chunk: int | None) -> np.ndarray:
        """Which keys a new query sees. Shapes: (B, 1, n, S), or (1, 1, n, S) if nothing is padded.

        A padded query sees itself: a softmax over no keys is NaN, and 0 * NaN would spread to real queries.
        """
        total = self.real.shape[1]
        slots, queries = np.arange(total), np.arange(total)[-self.new :, None]
        seen = slots <= queries
        if window is not None:
            seen = seen & (slots > queries - window)
        every = self.real.all()
        seen = seen[None] if every else seen & self.real[:, None, :]
        if chunk is not None:
            all_ = (self._all()[:1] if every else self._all()) // chunk
            seen = seen & (all_[:, None, :] == all_[:, -self.new :, None])
        return (seen | (slots == queries))[:, None]


def attention(
    a: Attention, read: Reader, h: np.ndarray, places: Places, kept: KeyValues | None, at: At, *, blind: bool = False
) -> tuple[np.ndarray, KeyValues]:
    """h (B, n, C) after S - n earlier tokens -> (B, n, C), and the keys and values of all S.

    Units:  blind leaves out the scores, and what they give: the time for keys and values alone grows with S.
    """
    q, k, v, gate = _projected(a, read, h, at) if a.latent is None else _latent(a, a.latent, read, h, places, at)
    if a.latent is None:
        q, k, v = _positioned(a, read, q, k, v, places, at)
    if kept is not None:
        k, v = (np.concatenate([old, now], axis=2) for old, now in zip(kept, (k, v), strict=True))
    if blind:
        return np.zeros_like(h), (k, v)
    out = at("attn", _mixed(a, read, q, k, v, places, at))
    if gate is not None:
        out = at("attn_gated", out * sigmoid_forward(gate)[0])
    return at("o_proj", read.linear("o", out)), (k, v)


def _projected(
    a: Attention, read: Reader, h: np.ndarray, at: At
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """q (B, n, H*D), k (B, n, KV*D), v (B, n, KV*Dv), and the gate (B, n, H*D)."""
    q = read.linear("q", h)
    gate = None
    if a.gated:
        both = q.reshape(*q.shape[:2], a.heads, 2 * a.head_dim)
        q, gate = (part.reshape(*q.shape[:2], -1) for part in (both[..., : a.head_dim], both[..., a.head_dim :]))
        gate = at("gate", gate)
    q = at("q_proj", q)
    k = at("k_proj", read.linear("k", h) * a.key_factor)
    return q, k, k if a.value_of_key else at("v_proj", read.linear("v", h)), gate


def _positioned(
    a: Attention, read: Reader, q: np.ndarray, k: np.ndarray, v: np.ndarray, places: Places, at: At
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split into heads, normalise, rotate. Shapes: -> (B, H, n, D), (B, KV, n, D), (B, KV, n, Dv)."""

    def normed(norm: Norm | None, role: str, x: np.ndarray) -> np.ndarray:
        if norm is None:
            return x
        return at(role, apply_norm(norm, read, role, x))

    def heads(x: np.ndarray, width: int) -> np.ndarray:
        return x.reshape(*x.shape[:2], -1, width)

    if a.norm_over == "width":
        q, k = normed(a.query_norm, "q_norm", q), normed(a.key_norm, "k_norm", k)
    q, k, v = heads(q, a.head_dim), heads(k, a.head_dim), heads(v, a.value_dim)
    early, late = a.norm_over == "head" and not a.norm_after_rope, a.norm_over == "head" and a.norm_after_rope
    if early:
        q, k = normed(a.query_norm, "q_norm", q), normed(a.key_norm, "k_norm", k)
    v = normed(a.value_norm, "v_norm", v).swapaxes(1, 2)
    q, k = q.swapaxes(1, 2), k.swapaxes(1, 2)
    if a.rope is not None:
        q, k = at("rope_q", rotated(a.rope, q, places)), at("rope_k", rotated(a.rope, k, places))
    if late:
        q, k = normed(a.query_norm, "q_norm", q), normed(a.key_norm, "k_norm", k)
    if a.temperature is not None:
        beta, context = a.temperature
        q = at("temperature", q * (1 + beta * np.log1p(places.positions // context))[:, None, :, None])
    return q, k, v


def _latent(
    a: Attention, low: Latent, read: Reader, h: np.ndarray, places: Places, at: At
) -> tuple[np.ndarray, np.ndarray, np.ndarray, None]:
    """Queries, keys and values from their low-rank forms. Shapes: (B, H, n, plain + rotated) twice, (B, H, n, Dv)."""
    source = h
    if low.query_rank is not None:
        source = at("q_down_norm", apply_norm(low.norm, read, "q_down_norm", at("q_down", read.linear("q_down", h))))
    q = at("q_proj", read.linear("q", source)).reshape(*h.shape[:2], a.heads, a.head_dim).swapaxes(1, 2)
    down = at("kv_down", read.linear("kv_down", h))
    inner = at("kv_norm", apply_norm(low.norm, read, "kv_norm", down[..., : low.rank]))
    up = at("kv_up", read.linear("kv_up", inner)).reshape(*h.shape[:2], a.heads, -1).swapaxes(1, 2)
    shared = down[..., low.rank :][:, None]
    assert a.rope is not None
    turned = at("rope_q", rotated(a.rope, q[..., low.plain :], places)), at("rope_k", rotated(a.rope, shared, places))
    q = np.concatenate([q[..., : low.plain], turned[0]], axis=-1)
    each = np.broadcast_to(turned[1], (*up.shape[:3], low.rotated))
    return q, np.concatenate([up[..., : low.plain], each], axis=-1), up[..., low.plain :], None


def _mixed(
    a: Attention, read: Reader, q: np.ndarray, k: np.ndarray, v: np.ndarray, places: Places, at: At
) -> np.ndarray:
    """q (B, H, n, D), k (B, KV, S, D), v (B, KV, S, Dv) -> (B, n, H*Dv); query head h reads head h // (H/KV)."""
    group = a.heads // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    visible = places.visible(a.window, a.chunk)
    scores = q @ k.swapaxes(-1, -2) * a.scale
    if a.softcap is not None:
        scores = a.softcap * np.tanh(scores / a.softcap)
    scores = at("scores", np.where(visible, scores, 0.0))
    masked = np.where(visible, scores, -np.inf)
    if a.sinks:
        sink = np.broadcast_to(read("sinks")[None, :, None, None], (*masked.shape[:3], 1))
        probs = softmax_forward(np.concatenate([masked, sink], axis=-1))[0][..., :-1]
    else:
        probs = softmax_forward(masked)[0]
    out = at("probs", probs) @ v
    return out.swapaxes(1, 2).reshape(q.shape[0], q.shape[2], -1)


def rotated(rope: Rope, x: np.ndarray, places: Places) -> np.ndarray:
    """Rotate every row by its own positions. Shapes: x (B, heads, n, D) -> same. Source: `rope_forward`."""
    longest = int(places.real.sum(axis=1).max())
    frequencies, factor = rope_frequencies(
        rope.dim, rope.theta, dict(rope.scaling), length=longest, longest=rope.longest
    )
    angles = places.positions[:, None, :, None] * frequencies
    cos, sin = factor * np.cos(angles), factor * np.sin(angles)
    R = rope.dim
    pairs = (slice(0, R, 2), slice(1, R, 2)) if rope.interleaved else (slice(0, R // 2), slice(R // 2, R))
    first, second = x[..., pairs[0]], x[..., pairs[1]]
    out = np.array(x, dtype=np.result_type(x, cos))
    out[..., pairs[0]] = first * cos - second * sin
    out[..., pairs[1]] = second * cos + first * sin
    return out
