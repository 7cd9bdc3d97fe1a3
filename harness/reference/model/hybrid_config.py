"""Parse the config of a Qwen3 decoder or a Qwen3.5 text model (attention and gated-delta-net layers)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.reference.model import gated_delta_net_config
from harness.reference.model.decoder_config import _count, _positive, _theta

MODEL_TYPES = ("qwen3", "qwen3_5_text")


@dataclass(frozen=True)
class HybridConfig:
    """The numbers on which the forward pass depends; `delta_layers[i]` is True if layer i is a gated delta net."""

    delta_layers: tuple[bool, ...]
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    rotary_dim: int
    vocab: int
    eps: float
    theta: float
    tied: bool
    gated: bool
    """Whether q_proj also yields an output gate for each query, and a norm's gain is 1 + w."""


def parse_config(config: Mapping[str, Any]) -> HybridConfig:
    """Read Hugging Face keys; raise on a setting that this decoder does not support.

    Raises: ValueError naming the key, what was found and what was expected.
    Source: transformers' Qwen3Config and Qwen3_5TextConfig.
    """
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        raise ValueError(f"config: found model_type {kind!r}, expected one of {', '.join(MODEL_TYPES)}")
    rope = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    for key, found, known in (
        ("hidden_act", config.get("hidden_act", "silu"), "silu"),
        ("rope_type", rope.get("rope_type", "default"), "default"),
        ("attention_bias", bool(config.get("attention_bias", False)), False),
        ("use_sliding_window", bool(config.get("use_sliding_window", False)), False),
    ):
        if found != known:
            raise ValueError(f"config: found {key} {found!r}, this decoder supports only {known!r}")
    heads, hidden = _count(config, "num_attention_heads"), _count(config, "hidden_size")
    width = _count(config, "head_dim") if config.get("head_dim") is not None else hidden // heads
    share = rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))
    return HybridConfig(
        delta_layers=_layers(config, kind == "qwen3_5_text"),
        hidden=hidden,
        intermediate=_count(config, "intermediate_size"),
        heads=heads,
        kv_heads=_count(config, "num_key_value_heads"),
        head_dim=width,
        rotary_dim=int(width * share),
        vocab=_count(config, "vocab_size"),
        eps=_positive(config, "rms_norm_eps"),
        theta=_theta(config),
        tied=bool(config.get("tie_word_embeddings", False)),
        gated=kind == "qwen3_5_text",
    )


def weight_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Every tensor by its Hugging Face name, with its shape, in forward order."""
    model = parse_config(config)
    C, F, D = model.hidden, model.intermediate, model.head_dim
    queries, keys = model.heads * D, model.kv_heads * D
    attention = {
        "self_attn.q_proj.weight": ((2 if model.gated else 1) * queries, C),
        "self_attn.k_proj.weight": (keys, C),
        "self_attn.v_proj.weight": (keys, C),
        "self_attn.o_proj.weight": (C, queries),
        "self_attn.q_norm.weight": (D,),
        "self_attn.k_norm.weight": (D,),
    }
    mlp = {"mlp.gate_proj.weight": (F, C), "mlp.up_proj.weight": (F, C), "mlp.down_proj.weight": (C, F)}
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (model.vocab, C)}
    for i, delta in enumerate(model.delta_layers):
        mixer: Mapping[str, tuple[int, ...]] = attention
        if delta:
            layer = gated_delta_net_config.weight_shapes(gated_delta_net_config.parse_config(config))
            mixer = {f"linear_attn.{name}": shape for name, shape in layer.items()}
        norms = {"input_layernorm.weight": (C,), "post_attention_layernorm.weight": (C,)}
        shapes |= {f"model.layers.{i}.{name}": shape for name, shape in {**norms, **mixer, **mlp}.items()}
    shapes["model.norm.weight"] = (C,)
    return shapes if model.tied else shapes | {"lm_head.weight": (model.vocab, C)}


def check_weights(config: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
    """Require exactly the expected tensors, each in its shape. Raises: ValueError naming the first that differs."""
    expected = weight_shapes(config)
    for name in [*expected, *weights]:
        found = tuple(np.shape(weights[name])) if name in weights else None
        if found != expected.get(name):
            raise ValueError(f"weights: {name} has shape {found}, expected {expected.get(name)} (None: absent)")


def _layers(config: Mapping[str, Any], mixed: bool) -> tuple[bool, ...]:
    layers = _count(config, "num_hidden_layers")
    if not mixed:
        return (False,) * layers
    types = config.get("layer_types")
    known = {"full_attention": False, "linear_attention": True}
    if not isinstance(types, (list, tuple)) or len(types) != layers or set(types) - set(known):
        raise ValueError(
            f"config: found layer_types {types!r}, expected one of {', '.join(known)} for each of {layers}"
        )
    return tuple(known[kind] for kind in types)
