"""Parse the Hugging Face config.json of a Qwen2 or Llama decoder, and list the tensors that it implies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MODEL_TYPES = ("llama", "qwen2")


@dataclass(frozen=True)
class DecoderConfig:
    """The numbers on which a decoder's forward pass depends."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    eps: float
    theta: float
    tied: bool
    qkv_bias: bool
    o_bias: bool
    mlp_bias: bool


def parse_config(config: Mapping[str, Any]) -> DecoderConfig:
    """Read Hugging Face keys; raise on a setting that this decoder does not support.

    Raises: ValueError naming the key, what was found and what was expected.
    Source: transformers' Qwen2Config and LlamaConfig.
    """
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        raise ValueError(f"config: found model_type {kind!r}, expected one of {', '.join(MODEL_TYPES)}")
    _refuse(config)
    heads, hidden = _count(config, "num_attention_heads"), _count(config, "hidden_size")
    kv_heads = _count(config, "num_key_value_heads") if config.get("num_key_value_heads") is not None else heads
    if heads % kv_heads:
        raise ValueError(f"config: found {heads} attention heads and {kv_heads} key/value heads, expected a multiple")
    biased = bool(config.get("attention_bias", False))
    return DecoderConfig(
        layers=_count(config, "num_hidden_layers"),
        hidden=hidden,
        intermediate=_count(config, "intermediate_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=_head_dim(config, hidden, heads),
        vocab=_count(config, "vocab_size"),
        eps=_positive(config, "rms_norm_eps"),
        theta=_theta(config),
        tied=bool(config.get("tie_word_embeddings", False)),
        # transformers' Qwen2 always has q, k and v biases; only Llama reads attention_bias and mlp_bias.
        qkv_bias=kind == "qwen2" or biased,
        o_bias=kind == "llama" and biased,
        mlp_bias=kind == "llama" and bool(config.get("mlp_bias", False)),
    )


def weight_shapes(model: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of the checkpoint by its Hugging Face name, with its shape, in forward order."""
    C, F = model.hidden, model.intermediate
    Q, K = model.heads * model.head_dim, model.kv_heads * model.head_dim
    linears = {
        "self_attn.q_proj": (Q, C, model.qkv_bias),
        "self_attn.k_proj": (K, C, model.qkv_bias),
        "self_attn.v_proj": (K, C, model.qkv_bias),
        "self_attn.o_proj": (C, Q, model.o_bias),
        "mlp.gate_proj": (F, C, model.mlp_bias),
        "mlp.up_proj": (F, C, model.mlp_bias),
        "mlp.down_proj": (C, F, model.mlp_bias),
    }
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (model.vocab, C)}
    for i in range(model.layers):
        prefix = f"model.layers.{i}."
        shapes[prefix + "input_layernorm.weight"] = (C,)
        shapes[prefix + "post_attention_layernorm.weight"] = (C,)
        for name, (rows, columns, bias) in linears.items():
            shapes[f"{prefix}{name}.weight"] = (rows, columns)
            if bias:
                shapes[f"{prefix}{name}.bias"] = (rows,)
    shapes["model.norm.weight"] = (C,)
    if not model.tied:
        shapes["lm_head.weight"] = (model.vocab, C)
    return shapes


def check_weights(model: DecoderConfig, weights: Mapping[str, np.ndarray]) -> None:
    """Require exactly the expected tensors, each in its shape.

    Raises: ValueError naming the tensor, what was found and what was expected.
    """
    expected = weight_shapes(model)
    for name, shape in expected.items():
        if name not in weights:
            raise ValueError(f"weights: {name} not found, expected shape {shape}")
        if np.shape(weights[name]) != shape:
            raise ValueError(f"weights: {name} has shape {np.shape(weights[name])}, expected {shape}")
    for name in weights:
        if name not in expected:
            raise ValueError(
                f"weights: found {name} {np.shape(weights[name])}, which this config does not have; "
                "expected exactly the tensors that model_type, tie_word_embeddings and the bias keys imply"
            )


def _refuse(config: Mapping[str, Any]) -> None:
    rope = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    only = {
        "hidden_act": (config.get("hidden_act", "silu"), "silu"),
        "rope_type": (rope.get("rope_type", rope.get("type", "default")), "default"),
        "partial_rotary_factor": (rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1)), 1),
        "use_sliding_window": (config.get("use_sliding_window", False), False),
    }
    for key, (found, known) in only.items():
        if found != known:
            raise ValueError(f"config: found {key} {found!r}, this decoder supports only {known!r}")


def _theta(config: Mapping[str, Any]) -> float:
    """transformers 5 keeps theta in rope_parameters, older files keep it on top; raise if both are there and differ."""
    found = {
        f"{place}rope_theta": _positive(keys, "rope_theta")
        for place, keys in (("rope_parameters.", config.get("rope_parameters") or {}), ("", config))
        if keys.get("rope_theta") is not None
    }
    if len(set(found.values())) != 1:
        raise ValueError(f"config: found {found or 'no rope_theta'}, expected one value at rope_parameters.rope_theta")
    return next(iter(found.values()))


def _head_dim(config: Mapping[str, Any], hidden: int, heads: int) -> int:
    if config.get("head_dim") is None and hidden % heads:
        raise ValueError(f"config: found no head_dim, and hidden_size {hidden} is not a multiple of {heads} heads")
    found = _count(config, "head_dim") if config.get("head_dim") is not None else hidden // heads
    if found % 2:
        raise ValueError(f"config: found head_dim {found}, expected an even number (RoPE rotates pairs)")
    return found


def _count(config: Mapping[str, Any], key: str) -> int:
    found = config.get(key)
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise ValueError(f"config: found {key} {found!r}, expected a positive integer")
    return found


def _positive(config: Mapping[str, Any], key: str) -> float:
    found = config.get(key)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 < found < float("inf"):
        raise ValueError(f"config: found {key} {found!r}, expected a positive finite number")
    return float(found)
