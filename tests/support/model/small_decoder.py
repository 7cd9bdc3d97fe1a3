"""The decoders that tests build: small, with different sizes wherever a bug could exchange two of them."""

from __future__ import annotations

from typing import Any

BASE: dict[str, Any] = {
    "model_type": "qwen2",
    "vocab_size": 67,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "max_position_embeddings": 2048,
}
"""The config of a Qwen2 with 2 layers; 4 heads, 2 of keys and values."""
MODEL: dict[str, Any] = {
    "model_type": "qwen2",
    "layers": 2,
    "hidden": 32,
    "intermediate": 40,
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 12,
    "vocab": 67,
    "rope_theta": 10000.0,
    "eps": 1e-6,
    "tied": False,
    "biases": True,
}
"""What a falsifier of `model` is given for a decoder of the same size with a head_dim of its own."""
