"""Forward pass, prefill and decode of Qwen3 and Qwen3.5 text models in float64: attention and delta-net layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.reference.model.gated_delta_net import gated_delta_net_forward
from harness.reference.model.hybrid_config import HybridConfig, check_weights, parse_config
from harness.reference.ops.activations import sigmoid_forward, silu_forward
from harness.reference.ops.norm import rmsnorm_forward
from harness.reference.ops.rope import rope_forward
from harness.reference.ops.softmax import softmax_forward
from harness.reference.precision import wide

Weights = Mapping[str, np.ndarray]
Kept = tuple[np.ndarray, np.ndarray] | None
"""An attention layer's keys and values (B, KV, S, D), or a delta-net layer's state and conv_state."""


@dataclass(frozen=True)
class HybridCache:
    """The states of earlier tokens, per layer; no function changes one. Shapes: real (B, S), False on padding."""

    layers: tuple[Kept, ...]
    real: np.ndarray


def hybrid_logits(config: Mapping[str, Any], weights: Weights, tokens: np.ndarray) -> np.ndarray:
    """Next-token logits at positions 0 .. T-1. Shapes: tokens (B, T) -> (B, T, V).

    Raises: ValueError if the config, a tensor or a token id does not fit.
    Source: transformers' Qwen3ForCausalLM and Qwen3_5ForCausalLM.
    """
    return hybrid_prefill(config, weights, tokens)[0]


def hybrid_prefill(
    config: Mapping[str, Any], weights: Weights, tokens: np.ndarray, lengths: np.ndarray | None = None
) -> tuple[np.ndarray, HybridCache]:
    """Logits of a prompt, NaN at padding, and the prompt's cache.

    Shapes: tokens (B, T); lengths (B,), how many real tokens end each row -> (B, T, V).
    Units:  positions count real tokens.
    """
    model = parse_config(config)
    batch, length = tokens.shape
    lengths = np.full(batch, length) if lengths is None else np.asarray(lengths)
    empty = HybridCache((None,) * len(model.delta_layers), np.zeros((batch, 0), bool))
    return _extend(config, weights, tokens, np.arange(length) >= length - lengths[:, None], empty)


def hybrid_decode(
    config: Mapping[str, Any], weights: Weights, tokens: np.ndarray, cache: HybridCache
) -> tuple[np.ndarray, HybridCache]:
    """Logits of the next n tokens of every row, and the longer cache. Shapes: tokens (B, n) -> (B, n, V)."""
    return _extend(config, weights, tokens, np.ones(tokens.shape, bool), cache)


def _extend(
    config: Mapping[str, Any], weights: Weights, tokens: np.ndarray, new: np.ndarray, cache: HybridCache
) -> tuple[np.ndarray, HybridCache]:
    model = parse_config(config)
    check_weights(config, weights)
    if np.min(tokens) < 0 or np.max(tokens) >= model.vocab:
        raise ValueError(f"tokens: found ids {np.min(tokens)} to {np.max(tokens)}, expected 0 to {model.vocab - 1}")
    real = np.concatenate([cache.real, new], axis=1)
    w = {name: wide(tensor) for name, tensor in weights.items()}
    x, kept = w["model.embed_tokens.weight"][tokens], []
    for i, delta in enumerate(model.delta_layers):
        own = {n.removeprefix(f"model.layers.{i}."): t for n, t in w.items() if n.startswith(f"model.layers.{i}.")}
        h = _norm(model, x, own["input_layernorm.weight"])
        if delta:
            mixed, left = _delta_net(config, own, h, new, cache.layers[i])
        else:
            mixed, left = _attention(model, own, h, real, cache.layers[i])
        kept.append(left)
        x = x + mixed
        h = _norm(model, x, own["post_attention_layernorm.weight"])
        act = silu_forward(h @ own["mlp.gate_proj.weight"].T)[0] * (h @ own["mlp.up_proj.weight"].T)
        x = x + act @ own["mlp.down_proj.weight"].T
    head = w["model.embed_tokens.weight" if model.tied else "lm_head.weight"]
    logits = _norm(model, x, w["model.norm.weight"]) @ head.T
    return np.where(new[..., None], logits, np.nan), HybridCache(tuple(kept), real)


def _norm(model: HybridConfig, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """RMSNorm; Qwen3.5 stores each gain minus 1."""
    return rmsnorm_forward(x, 1 + weight if model.gated else weight, model.eps)[0]


def _delta_net(
    config: Mapping[str, Any], own: Weights, h: np.ndarray, new: np.ndarray, kept: Kept
) -> tuple[np.ndarray, Kept]:
    layer = {n.removeprefix("linear_attn."): t for n, t in own.items() if n.startswith("linear_attn.")}
    state, conv_state = kept if kept is not None else (None, None)
    out, state, conv_state, _ = gated_delta_net_forward(h, layer, config, state=state, conv_state=conv_state, real=new)
    return out, (state, conv_state)


def _attention(
    model: HybridConfig, own: Weights, h: np.ndarray, real: np.ndarray, kept: Kept
) -> tuple[np.ndarray, Kept]:
    """h (B, n, C), after S - n earlier tokens -> (B, n, C); the cache keeps rotated keys."""
    batch, count, _ = h.shape
    positions = np.maximum(np.cumsum(real, axis=1) - 1, 0)[:, -count:]
    q = (h @ own["self_attn.q_proj.weight"].T).reshape(batch, count, model.heads, -1)
    gate = q[..., model.head_dim :]
    q = _norm(model, q[..., : model.head_dim], own["self_attn.q_norm.weight"]).swapaxes(1, 2)
    k, v = ((h @ own[f"self_attn.{n}_proj.weight"].T).reshape(batch, count, model.kv_heads, -1) for n in "kv")
    k, v = _norm(model, k, own["self_attn.k_norm.weight"]).swapaxes(1, 2), v.swapaxes(1, 2)
    q, k = _rotated(model, q, positions), _rotated(model, k, positions)
    if kept is not None:
        k, v = (np.concatenate([old, now], axis=2) for old, now in zip(kept, (k, v), strict=True))
    queries, slots = np.arange(real.shape[1])[-count:, None], np.arange(real.shape[1])
    # A padded query sees itself: a softmax over no keys is NaN, and 0 * NaN would spread to real queries.
    visible = ((slots <= queries) & real[:, None] | (slots == queries))[:, None]
    keys, values = (np.repeat(part, model.heads // model.kv_heads, axis=1) for part in (k, v))
    scores = q @ keys.swapaxes(-1, -2) / np.sqrt(model.head_dim)
    out = (softmax_forward(np.where(visible, scores, -np.inf))[0] @ values).swapaxes(1, 2)
    if model.gated:
        out = out * sigmoid_forward(gate)[0]
    return out.reshape(batch, count, -1) @ own["self_attn.o_proj.weight"].T, (k, v)


def _rotated(model: HybridConfig, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Rotate every row by its own positions. Shapes: x (B, heads, n, D), positions (B, n)."""
    rows = [
        rope_forward(x[b : b + 1], positions[b], theta=model.theta, rotary_dim=model.rotary_dim)[0]
        for b in range(len(x))
    ]
    return np.concatenate(rows)
