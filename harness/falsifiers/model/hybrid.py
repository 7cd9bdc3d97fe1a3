"""Falsifiers of Qwen3 and Qwen3.5 text models: logits of synthetic models against the float64 reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.hybrid_model import hybrid_config, hybrid_weights
from harness.observation import Observation
from harness.reference.model.decoder import decoder_logits

MEASURES = {
    "accepted": "checkpoints with an extra, missing or mis-shaped tensor that load without an error",
}
PROBLEMS = (ValueError, RuntimeError, KeyError, TypeError)


def logit_parity(
    subject: Any,
    case: Case,
    *,
    layer_types: str,
    tied: bool,
    length: int,
    key_heads: int = 2,
    value_heads: int = 4,
    partial: float = 0.25,
) -> Observation:
    """Logits of a mixed model with random weights. Shapes: tokens (2, length) -> logits (2, length, 67)."""
    config = hybrid_config(
        layer_types=layer_types, tied=tied, key_heads=key_heads, value_heads=value_heads, partial=partial
    )
    weights = hybrid_weights(case, config)
    tokens = case.integers("tokens", (2, length), 0, config["vocab_size"])
    want = case.once(decoder_logits, config, weights, tokens)
    return Observation(logits=(subject.load(config, weights).logits(tokens), want))


def dense_parity(subject: Any, case: Case, *, tied: bool, length: int) -> Observation:
    """A Qwen3 decoder: attention layers only, with queries and keys normed per head. Shapes: as `logit_parity`."""
    rope = {"rope_type": "default", "rope_theta": 50000.0}
    mixed = {**hybrid_config(layer_types="aa", tied=tied), "model_type": "qwen3", "rope_parameters": rope}
    config = {key: value for key, value in mixed.items() if key != "layer_types" and not key.startswith("linear_")}
    weights = hybrid_weights(case, config)
    tokens = case.integers("tokens", (2, length), 0, config["vocab_size"])
    want = case.once(decoder_logits, config, weights, tokens)
    return Observation(logits=(subject.load(config, weights).logits(tokens), want))


def coverage(subject: Any, case: Case) -> Observation:
    """The subject loads only the exact set of tensors, each in its shape; the correct set gives the right logits."""
    config = hybrid_config(layer_types="la")
    weights = hybrid_weights(case, config)
    tokens = case.integers("tokens", (2, 5), 0, config["vocab_size"])
    accepted = 0
    for name in weights:
        without = {n: w for n, w in weights.items() if n != name}
        accepted += _loads(subject, config, without) + _loads(subject, config, {**without, name: weights[name][:-1]})
    accepted += _loads(subject, config, {**weights, "model.layers.0.self_attn.q_norm.weight": np.ones(16, np.float32)})
    want = case.once(decoder_logits, config, weights, tokens)
    return Observation(logits=(subject.load(config, weights).logits(tokens), want), accepted=accepted)


def _loads(subject: Any, config: dict[str, Any], weights: dict[str, np.ndarray]) -> bool:
    try:
        subject.load(config, weights)
    except PROBLEMS:
        return False
    return True
