"""Inputs for falsifiers: a small decoder's config in Hugging Face keys, random weights, token ids."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.reference.model.families import declare
from harness.reference.random_weights import random_tensor

Config = dict[str, Any]
Weights = dict[str, np.ndarray]

SHARP = {
    "model_type": "qwen2",
    "layers": 2,
    "hidden": 32,
    "intermediate": 48,
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 12,
    "vocab": 67,
    "rope_theta": 500000.0,
    "eps": 1e-6,
    "tied": False,
    "biases": True,
}
"""Sizes that expose bugs: head_dim is not hidden/heads, 1 < kv_heads < heads, and theta is not a default."""


def synthetic_config(
    *,
    model_type: str,
    layers: int,
    hidden: int,
    intermediate: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    vocab: int,
    rope_theta: float,
    eps: float,
    tied: bool,
    biases: bool,
) -> Config:
    """A decoder's config in Hugging Face keys. Units: biases sets both of Llama's bias keys."""
    return {
        "model_type": model_type,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "vocab_size": vocab,
        "rope_parameters": {"rope_type": "default", "rope_theta": rope_theta},
        "rms_norm_eps": eps,
        "tie_word_embeddings": tied,
        "attention_bias": biases,
        "mlp_bias": biases,
        "hidden_act": "silu",
        "max_position_embeddings": 4096,
    }


def small_config(**changed: Any) -> Config:
    """A small decoder's config; `changed` takes the arguments of `synthetic_config`."""
    return synthetic_config(**{**SHARP, **changed})


def case_weights(case: Case, config: Config) -> Weights:
    """Every tensor of the config's decoder, as an array of the case, by its Hugging Face name."""

    def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return case.array(name, lambda: random_tensor(name, shape, case.stream(name)))

    return {name: tensor(name, shape) for name, shape in declare(config).shapes().items()}


def case_tokens(case: Case, config: Config, batch: int, length: int) -> np.ndarray:
    """Token ids (batch, length) below the config's vocab_size; the first row begins with one token twice."""
    return first_twice(case.integers("tokens", (batch, length), 0, int(config["vocab_size"])))


def first_twice(tokens: np.ndarray) -> np.ndarray:
    """The tokens, with the first row's first token repeated, as in a text that already begins with its BOS."""
    twice = tokens.copy()
    twice[:1, 1:2] = twice[:1, :1]
    return twice
