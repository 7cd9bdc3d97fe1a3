"""Inputs for falsifiers: a small Qwen3.5-style text model with attention and gated-delta-net layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.reference.model.families import declare

SOME = (1, 2, 10)
"""Layers that have adapters when not every layer has."""
Config = dict[str, Any]
Weights = dict[str, np.ndarray]


def hybrid_config(
    *, layer_types: str = "llal", tied: bool = False, key_heads: int = 2, value_heads: int = 4, partial: float = 0.25
) -> Config:
    """Config in Hugging Face keys. Units: layer_types has one letter per layer: a attention, l linear attention."""
    kinds = {"a": "full_attention", "l": "linear_attention"}
    return {
        "model_type": "qwen3_5_text",
        "num_hidden_layers": len(layer_types),
        "layer_types": [kinds[letter] for letter in layer_types],
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 67,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": tied,
        "max_position_embeddings": 4096,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 50000.0,
            "partial_rotary_factor": partial,
            "mrope_section": [1, 1, 0],
        },
        "linear_num_key_heads": key_heads,
        "linear_num_value_heads": value_heads,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 6,
        "linear_conv_kernel_dim": 4,
    }


def hybrid_weights(case: Case, config: Config) -> Weights:
    """Every tensor, as an array of the case, with gains away from their defaults and decays below 1."""
    return {name: _tensor(case, name, shape) for name, shape in declare(config).shapes().items()}


def adapter_layers(config: Config, which: str) -> list[str]:
    """Full names of the layers to adapt; `which` is attention, delta, mixed, everything, or some.

    `some` is everything in layers 1, 2 and 10 alone: of 12 layers, 10 and 11 have names that begin as 1's do, and the
    name of 10 comes before that of 2.
    """
    attention = [f"self_attn.{n}_proj" for n in "qkvo"]
    delta = [f"linear_attn.{n}" for n in ("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "out_proj")]
    mlp = [f"mlp.{n}_proj" for n in ("gate", "up", "down")]
    names = []
    for i, kind in enumerate(config.get("layer_types") or ["full_attention"] * config["num_hidden_layers"]):
        if which == "some" and i not in SOME:
            continue
        if kind == "full_attention" and which != "delta":
            names += [f"model.layers.{i}.{name}" for name in attention]
        if kind == "linear_attention" and which != "attention":
            names += [f"model.layers.{i}.{name}" for name in delta]
        if which in ("everything", "some"):
            names += [f"model.layers.{i}.{name}" for name in mlp]
    return names


def layer_shape(config: Config, name: str) -> tuple[int, int]:
    """(out, in) of a linear layer by its full name. Source: transformers' Qwen3_5 and Qwen2 modules."""
    hidden, part = config["hidden_size"], name.rsplit(".", 1)[-1]
    width = config.get("head_dim") or hidden // config["num_attention_heads"]
    queries, keys = config["num_attention_heads"] * width, config["num_key_value_heads"] * width
    gated = 2 if config["model_type"] == "qwen3_5_text" else 1
    linear = {"q_proj": (gated * queries, hidden), "k_proj": (keys, hidden), "v_proj": (keys, hidden)}
    linear |= {"o_proj": (hidden, queries), "down_proj": (hidden, config["intermediate_size"])}
    linear |= dict.fromkeys(("gate_proj", "up_proj"), (config["intermediate_size"], hidden))
    if "linear_attn" in name:
        key_width = config["linear_num_key_heads"] * config["linear_key_head_dim"]
        heads = config["linear_num_value_heads"]
        values = heads * config["linear_value_head_dim"]
        linear |= {"in_proj_qkv": (2 * key_width + values, hidden), "in_proj_z": (values, hidden)}
        linear |= {"in_proj_b": (heads, hidden), "in_proj_a": (heads, hidden), "out_proj": (hidden, values)}
    return linear[part]


def adapter_pairs(case: Case, config: Config, names: list[str], r: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Random (A (r, in), B (out, r)) for each layer, B not zero."""
    pairs = {}
    for name in names:
        rows, columns = layer_shape(config, name)
        pairs[name] = (
            case.normal(f"{name}.lora_A", (r, columns), std=0.3),
            case.normal(f"{name}.lora_B", (rows, r), std=0.3),
        )
    return pairs


def _tensor(case: Case, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("A_log"):
        return case.array(name, lambda: np.log(case.stream(name).uniform(0.01, 4, shape)))
    if name.endswith("linear_attn.norm.weight"):
        return case.normal(name, shape, std=0.3, mean=1.0)
    if "conv1d" in name:
        return case.normal(name, shape, std=0.5)
    std = 1.0 if "embed" in name else 0.3 if len(shape) == 1 else 1.5 / shape[-1] ** 0.5
    return case.normal(name, shape, std=std)
