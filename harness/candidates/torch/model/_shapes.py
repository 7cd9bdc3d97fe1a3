"""The tensors that a decoder of a given config has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def shapes_of(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Hugging Face name -> shape of every tensor that the config implies; queries is H*D, keys KV*D."""
    C, F, V = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    heads = int(config["num_attention_heads"])
    dim = int(config.get("head_dim") or C // heads)
    queries, keys = heads * dim, int(config.get("num_key_value_heads") or heads) * dim
    llama = config["model_type"] != "qwen2"  # Qwen2 has three biases whatever its config says; the others read the keys
    attention, mlp = llama and config.get("attention_bias"), llama and config.get("mlp_bias")
    projections = {
        "self_attn.q_proj": (queries, C, attention or not llama),
        "self_attn.k_proj": (keys, C, attention or not llama),
        "self_attn.v_proj": (keys, C, attention or not llama),
        "self_attn.o_proj": (C, queries, attention),
        "mlp.gate_proj": (F, C, mlp),
        "mlp.up_proj": (F, C, mlp),
        "mlp.down_proj": (C, F, mlp),
    }
    layer: dict[str, tuple[int, ...]] = {"input_layernorm.weight": (C,), "post_attention_layernorm.weight": (C,)}
    layer |= {f"{name}.weight": (rows, columns) for name, (rows, columns, _) in projections.items()}
    layer |= {f"{name}.bias": (rows,) for name, (rows, _, biased) in projections.items() if biased}
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (V, C), "model.norm.weight": (C,)}
    if not config.get("tie_word_embeddings"):
        shapes["lm_head.weight"] = (V, C)
    layers = range(config["num_hidden_layers"])
    return shapes | {f"model.layers.{i}.{name}": shape for i in layers for name, shape in layer.items()}
