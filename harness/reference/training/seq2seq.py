"""Forward pass in float64 of an encoder-decoder transformer in causal mode: only the decoder runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.reference.ops.activations import gelu_tanh_forward
from harness.reference.ops.attention import attention_forward
from harness.reference.ops.linear import embedding_forward, linear_forward
from harness.reference.ops.norm import layernorm_forward
from harness.reference.precision import wide
from harness.reference.training.seq2seq_weights import Seq2SeqConfig, check_weights, parse_config


@dataclass(frozen=True)
class Tape:
    """The cache of each op for the backward pass, by the name of the module that called it."""

    model: Seq2SeqConfig
    caches: dict[str, Any] = field(default_factory=dict)


def seq2seq_forward(
    config: Mapping[str, Any], weights: Mapping[str, np.ndarray], tokens: np.ndarray
) -> tuple[np.ndarray, Tape]:
    """Logits of the next token at positions 0 .. T-1, from the decoder alone.

    Token embedding plus learned position; per layer causal self-attention and a GELU (tanh) FFN, each on the
    LayerNorm of x (pre-LN) and added to x; a last LayerNorm; the head. Every linear layer has a bias. The weights
    include the encoder and the cross-attention, but causal mode does not use them.

    Shapes: tokens (B, T) integers -> logits (B, T, V), tape.
    Raises: ValueError if the config, a tensor or a token id does not fit, or T exceeds the positions.
    Source: arXiv:1706.03762; pre-LN arXiv:2002.04745; torch.nn.TransformerDecoderLayer(norm_first=True) without
            its cross-attention block; names as in transformers' BART.
    """
    model = _checked(config, weights, tokens)
    tape = Tape(model)

    def weight(name: str) -> np.ndarray:
        return wide(weights[name])

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        out, tape.caches[name] = layernorm_forward(x, weight(f"{name}.weight"), weight(f"{name}.bias"), model.eps)
        return out

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        out, tape.caches[name] = linear_forward(x, weight(f"{name}.weight"), weight(f"{name}.bias"))
        return out

    def attend(h: np.ndarray, name: str) -> np.ndarray:
        q, k, v = (split_heads(linear(h, f"{name}.{p}_proj"), model.heads) for p in "qkv")
        out, tape.caches[name] = attention_forward(q, k, v, causal=True)
        return linear(merge_heads(out), f"{name}.out_proj")

    def ffn(h: np.ndarray, layer: str) -> np.ndarray:
        out, tape.caches[f"{layer}.gelu"] = gelu_tanh_forward(linear(h, f"{layer}.fc1"))
        return linear(out, f"{layer}.fc2")

    x, tape.caches["decoder.embed_tokens"] = embedding_forward(tokens, weight("decoder.embed_tokens.weight"))
    x = x + weight("decoder.embed_positions.weight")[: tokens.shape[1]]
    for i in range(model.decoder_layers):
        layer = f"decoder.layers.{i}"
        x = x + attend(norm(x, f"{layer}.self_attn_layer_norm"), f"{layer}.self_attn")
        x = x + ffn(norm(x, f"{layer}.final_layer_norm"), layer)
    return linear(norm(x, "decoder.layer_norm"), "lm_head"), tape


def seq2seq_logits(config: Mapping[str, Any], weights: Mapping[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """The logits of `seq2seq_forward`. Shapes: tokens (B, T) -> (B, T, V)."""
    return seq2seq_forward(config, weights, tokens)[0]


def split_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """(B, T, H*D) -> (B, H, T, D)."""
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).swapaxes(1, 2)


def merge_heads(x: np.ndarray) -> np.ndarray:
    """(B, H, T, D) -> (B, T, H*D)."""
    batch, heads, length, dim = x.shape
    return x.swapaxes(1, 2).reshape(batch, length, heads * dim)


def _checked(config: Mapping[str, Any], weights: Mapping[str, np.ndarray], tokens: np.ndarray) -> Seq2SeqConfig:
    model = parse_config(config)
    check_weights(model, weights)
    if np.ndim(tokens) != 2 or np.size(tokens) == 0:
        raise ValueError(f"tokens: found shape {np.shape(tokens)}, expected (B, T), neither of them 0")
    if tokens.shape[1] > model.positions:
        raise ValueError(f"tokens: found {tokens.shape[1]} positions, expected at most {model.positions}")
    return model
