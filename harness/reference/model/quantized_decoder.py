"""A Qwen2 or Llama decoder on quantised weights: like llama.cpp, it rounds both weights and input of each product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.reference.model.decoder_config import DecoderConfig, check_weights, parse_config
from harness.reference.ops.activations import silu_forward
from harness.reference.ops.norm import rmsnorm_forward
from harness.reference.ops.quantization import dequantize, quantize, round_activations
from harness.reference.ops.rope import rope_forward
from harness.reference.ops.softmax import softmax_forward


def quantized_logits(
    config: Mapping[str, Any], weights: Mapping[str, np.ndarray], tokens: np.ndarray, kind: str
) -> np.ndarray:
    """Next-token logits with every matrix quantised to `kind`; vectors, attention and norms stay float64.

    A product of Q8_0 or Q4_0 weights rounds its input to Q8_0 blocks; F16 or BF16 weights round it to their type.
    Shapes: tokens (B, T) -> (B, T, V).
    Raises: ValueError as `decoder_logits`, or for a row length that is not a multiple of 32.
    Source: ggml's type_traits_cpu: vec_dot_type of Q4_0 and Q8_0 is Q8_0, of F16 F16, of BF16 BF16.
    """
    model = parse_config(config)
    check_weights(model, weights)
    packed = {name: _packed(w, kind) if w.ndim == 2 else np.asarray(w, np.float64) for name, w in weights.items()}
    embedding = packed["model.embed_tokens.weight"]
    x = embedding[tokens]
    for i in range(model.layers):
        own = {n.removeprefix(f"model.layers.{i}."): w for n, w in packed.items() if n.startswith(f"model.layers.{i}.")}
        h = rmsnorm_forward(x, own["input_layernorm.weight"], model.eps)[0]
        x = x + _linear(_attention(model, own, h, kind), own, "self_attn.o_proj", kind)
        h = rmsnorm_forward(x, own["post_attention_layernorm.weight"], model.eps)[0]
        act = silu_forward(_linear(h, own, "mlp.gate_proj", kind))[0] * _linear(h, own, "mlp.up_proj", kind)
        x = x + _linear(act, own, "mlp.down_proj", kind)
    out = rmsnorm_forward(x, packed["model.norm.weight"], model.eps)[0]
    return _rounded(out, kind) @ (embedding if model.tied else packed["lm_head.weight"]).T


def _attention(model: DecoderConfig, own: Mapping[str, np.ndarray], h: np.ndarray, kind: str) -> np.ndarray:
    batch, length, _ = h.shape
    q, k, v = (_linear(h, own, f"self_attn.{n}_proj", kind).reshape(batch, length, -1, model.head_dim) for n in "qkv")
    positions = np.arange(length)
    q, k = (rope_forward(part.swapaxes(1, 2), positions, theta=model.theta)[0] for part in (q, k))
    k, v = (np.repeat(part, model.heads // model.kv_heads, axis=1) for part in (k, v.swapaxes(1, 2)))
    scores = np.where(positions <= positions[:, None], q @ k.swapaxes(-1, -2) / np.sqrt(model.head_dim), -np.inf)
    return (softmax_forward(scores)[0] @ v).swapaxes(1, 2).reshape(batch, length, -1)


def _linear(x: np.ndarray, own: Mapping[str, np.ndarray], name: str, kind: str) -> np.ndarray:
    out = _rounded(x, kind) @ own[f"{name}.weight"].T
    return out + own[f"{name}.bias"] if f"{name}.bias" in own else out


def _packed(weight: np.ndarray, kind: str) -> np.ndarray:
    return dequantize(quantize(weight, kind), kind).astype(np.float64)


def _rounded(x: np.ndarray, kind: str) -> np.ndarray:
    if kind in ("Q8_0", "Q4_0"):
        return round_activations(x)
    return dequantize(quantize(x, kind), kind).astype(np.float64)
