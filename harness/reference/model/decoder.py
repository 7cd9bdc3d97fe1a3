"""Forward pass of a Qwen2 or Llama decoder in float64, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from harness.reference.model.decoder_config import DecoderConfig, check_weights, parse_config
from harness.reference.ops.activations import silu_forward
from harness.reference.ops.norm import rmsnorm_forward
from harness.reference.ops.rope import rope_forward
from harness.reference.ops.softmax import softmax_forward
from harness.reference.precision import wide

Stage = Callable[[str, np.ndarray], np.ndarray]
Attend = Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(layer, q, k, v) -> attention's output; a caller with a key/value cache passes its own."""
LAYER_STAGES = (
    *("input_norm", "q_proj", "k_proj", "v_proj", "rope_q", "rope_k", "scores", "probs", "attn", "o_proj"),
    *("attn_residual", "post_norm", "gate_proj", "up_proj", "mlp_act", "down_proj", "mlp_residual"),
)


def stage_names(config: Mapping[str, Any]) -> list[str]:
    """Every stage of the forward pass, in the order of computation.

    Shapes: embed, final_norm (B, T, C); logits (B, T, V); and in each layer
            input_norm, o_proj, attn_residual, post_norm, down_proj, mlp_residual (B, T, C);
            q_proj, attn (B, T, H*D); k_proj, v_proj (B, T, KV*D);
            rope_q (B, H, T, D), rope_k (B, KV, T, D), rotated;
            scores (B, H, T, T), query by key, scaled by 1/sqrt(D), and 0 where the key is in
            the future (so that no stage holds -inf); probs (B, H, T, T), softmax over the visible keys;
            gate_proj, up_proj (B, T, F) before the activation; mlp_act = silu(gate) * up (B, T, F).
    Raises: ValueError if the config does not describe a supported decoder.
    """
    layers = range(parse_config(config).layers)
    return ["embed", *(f"layers.{i}.{name}" for i in layers for name in LAYER_STAGES), "final_norm", "logits"]


def decoder_forward(
    config: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
    tokens: np.ndarray,
    *,
    replace: Mapping[str, np.ndarray] | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Logits of the next token at positions 0 .. T-1, and every stage's value.

    The returned dict keeps each stage's computed value; later stages read its replacement instead,
    if there is one. With every stage replaced, each stage is computed from the given inputs alone.

    Shapes: tokens (B, T) integers -> logits (B, T, V), stages as in `stage_names`.
    Raises: ValueError if the config, a tensor, a token id or a replacement does not fit.
    Source: transformers' Qwen2ForCausalLM and LlamaForCausalLM; arXiv:2407.10671, arXiv:2302.13971.
    """
    model = _checked(config, weights, tokens)
    unknown = sorted(set(replace or {}) - set(stage_names(config)))
    if unknown:
        raise ValueError(f"replace: found stage {unknown[0]!r}, expected names from stage_names(config)")
    stages: dict[str, np.ndarray] = {}

    def stage(name: str, value: np.ndarray) -> np.ndarray:
        stages[name] = value
        if replace is None or name not in replace:
            return value
        if np.shape(replace[name]) != value.shape:
            raise ValueError(f"replace: {name} has shape {np.shape(replace[name])}, expected {value.shape}")
        return wide(replace[name])

    _forward(model, weights, tokens, stage)
    return stages["logits"], stages


def decoder_logits(config: Mapping[str, Any], weights: Mapping[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """The logits of `decoder_forward` without keeping the stages (two (B, H, T, T) arrays per layer).

    Shapes: tokens (B, T) -> logits (B, T, V).
    Raises: ValueError as `decoder_forward`.
    """
    return _forward(_checked(config, weights, tokens), weights, tokens, lambda _, value: value)


def _checked(config: Mapping[str, Any], weights: Mapping[str, np.ndarray], tokens: np.ndarray) -> DecoderConfig:
    model = parse_config(config)
    check_weights(model, weights)
    if np.ndim(tokens) != 2 or np.size(tokens) == 0 or np.asarray(tokens).dtype.kind not in "iu":
        raise ValueError(f"tokens: found {np.asarray(tokens).dtype} {np.shape(tokens)}, expected integers (B, T)")
    low, high = int(np.min(tokens)), int(np.max(tokens))
    if low < 0 or high >= model.vocab:
        raise ValueError(f"tokens: found ids from {low} to {high}, expected 0 to {model.vocab - 1}")
    return model


def _forward(
    model: DecoderConfig,
    weights: Mapping[str, np.ndarray],
    tokens: np.ndarray,
    stage: Stage,
    attend: Attend | None = None,
) -> np.ndarray:
    def weight(name: str) -> np.ndarray:
        return wide(weights[name])

    embedding = weight("model.embed_tokens.weight")
    x = stage("embed", embedding[tokens])
    for i in range(model.layers):
        x = _layer(model, weights, x, i, stage, attend)
    x = stage("final_norm", rmsnorm_forward(x, weight("model.norm.weight"), model.eps)[0])
    head = embedding if model.tied else weight("lm_head.weight")
    return stage("logits", x @ head.T)


def _layer(
    model: DecoderConfig,
    weights: Mapping[str, np.ndarray],
    x: np.ndarray,
    i: int,
    stage: Stage,
    attend: Attend | None,
) -> np.ndarray:
    """x (B, T, C) -> (B, T, C): attention, then MLP; each reads the normed x, and its output is added to x."""

    def at(name: str, value: np.ndarray) -> np.ndarray:
        return stage(f"layers.{i}.{name}", value)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return rmsnorm_forward(x, wide(weights[f"model.layers.{i}.{name}.weight"]), model.eps)[0]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        out = x @ wide(weights[f"model.layers.{i}.{name}.weight"]).T
        bias = weights.get(f"model.layers.{i}.{name}.bias")
        return out if bias is None else out + wide(bias)

    h = at("input_norm", norm(x, "input_layernorm"))
    q = at("q_proj", linear(h, "self_attn.q_proj"))
    k = at("k_proj", linear(h, "self_attn.k_proj"))
    v = at("v_proj", linear(h, "self_attn.v_proj"))
    attn = _attention(model, q, k, v, at) if attend is None else attend(i, q, k, v)
    x = at("attn_residual", x + at("o_proj", linear(attn, "self_attn.o_proj")))

    h = at("post_norm", norm(x, "post_attention_layernorm"))
    gate = at("gate_proj", linear(h, "mlp.gate_proj"))
    up = at("up_proj", linear(h, "mlp.up_proj"))
    act = at("mlp_act", silu_forward(gate)[0] * up)
    return at("mlp_residual", x + at("down_proj", linear(act, "mlp.down_proj")))


def _attention(model: DecoderConfig, q: np.ndarray, k: np.ndarray, v: np.ndarray, at: Stage) -> np.ndarray:
    """q (B, T, H*D), k and v (B, T, KV*D) -> (B, T, H*D); head h reads key/value head h // (H/KV)."""
    B, T, _ = q.shape
    D, group = model.head_dim, model.heads // model.kv_heads

    def heads(x: np.ndarray) -> np.ndarray:
        return x.reshape(B, T, -1, D).swapaxes(1, 2)

    positions = np.arange(T)
    q = at("rope_q", rope_forward(heads(q), positions, theta=model.theta)[0])
    k = at("rope_k", rope_forward(heads(k), positions, theta=model.theta)[0])
    k, v = np.repeat(k, group, axis=1), np.repeat(heads(v), group, axis=1)
    visible = positions[None, :] <= positions[:, None]
    scores = at("scores", np.where(visible, q @ k.swapaxes(-1, -2) / np.sqrt(D), 0.0))
    probs = at("probs", softmax_forward(np.where(visible, scores, -np.inf))[0])
    return at("attn", (probs @ v).swapaxes(1, 2).reshape(B, T, -1))
