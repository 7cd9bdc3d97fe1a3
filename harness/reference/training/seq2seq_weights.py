"""The tensors of an encoder-decoder transformer: names, shapes, use in causal mode, random values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

TINY_ROW_EVERY = 4
TINY_ROW_STD = 3e-3
"""Every fourth embedding and position row is small, so that a wrong eps in the first LayerNorm shows."""


@dataclass(frozen=True)
class Seq2SeqConfig:
    """The numbers on which the model depends; head size is hidden / heads, as in torch.nn.MultiheadAttention."""

    encoder_layers: int
    decoder_layers: int
    hidden: int
    heads: int
    intermediate: int
    vocab: int
    positions: int
    eps: float


def parse_config(config: Mapping[str, Any]) -> Seq2SeqConfig:
    """Read the keys of Hugging Face's encoder-decoder configs (BART's), and `layer_norm_eps`.

    Raises: ValueError naming the key, what was found and what was expected.
    """
    if config.get("activation_function") != "gelu_pytorch_tanh":
        found = config.get("activation_function")
        raise ValueError(f"config: found activation_function {found!r}, this model supports only 'gelu_pytorch_tanh'")
    heads, hidden = _count(config, "decoder_attention_heads"), _count(config, "d_model")
    if hidden % heads:
        raise ValueError(f"config: found d_model {hidden} and {heads} heads, expected a multiple")
    eps = config.get("layer_norm_eps")
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not 0 < eps < float("inf"):
        raise ValueError(f"config: found layer_norm_eps {eps!r}, expected a positive finite number")
    return Seq2SeqConfig(
        encoder_layers=_count(config, "encoder_layers"),
        decoder_layers=_count(config, "decoder_layers"),
        hidden=hidden,
        heads=heads,
        intermediate=_count(config, "decoder_ffn_dim"),
        vocab=_count(config, "vocab_size"),
        positions=_count(config, "max_position_embeddings"),
        eps=float(eps),
    )


def weight_shapes(model: Seq2SeqConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor by name, with its shape, in forward order: encoder, decoder, head."""
    table: dict[str, tuple[int, ...]] = {
        "embed_tokens.weight": (model.vocab, model.hidden),
        "embed_positions.weight": (model.positions, model.hidden),
    }
    norm = _pair("layer_norm", (model.hidden,))
    shapes = {f"encoder.{name}": shape for name, shape in table.items()}
    for i in range(model.encoder_layers):
        shapes |= {f"encoder.layers.{i}.{name}": shape for name, shape in _layer(model, cross=False).items()}
    shapes |= {f"encoder.{name}": shape for name, shape in norm.items()}
    shapes |= {f"decoder.{name}": shape for name, shape in table.items()}
    for i in range(model.decoder_layers):
        shapes |= {f"decoder.layers.{i}.{name}": shape for name, shape in _layer(model, cross=True).items()}
    shapes |= {f"decoder.{name}": shape for name, shape in norm.items()}
    return shapes | _pair("lm_head", (model.vocab, model.hidden))


def unused(name: str) -> bool:
    """Whether causal mode does not use a tensor (encoder, cross-attention), so that its gradient is exactly zero."""
    return name.startswith("encoder.") or ".encoder_attn" in name


def zero_gradient(name: str) -> bool:
    """Whether a used tensor's gradient is zero by algebra, and only round-off in practice.

    A key bias adds the same q.b to every score of a row, and softmax ignores a constant offset
    (positions are added to the embeddings, so no rotation stands between bias and score).
    """
    return name.endswith(".self_attn.k_proj.bias") and not unused(name)


def check_weights(model: Seq2SeqConfig, weights: Mapping[str, np.ndarray]) -> None:
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
            raise ValueError(f"weights: found {name} {np.shape(weights[name])}, which this config does not have")


def random_tensor(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """One tensor, float64, with the scale that its name calls for.

    Units:  gains have mean 1 and std 0.3, biases std 0.5; rows of linear layers have norm near 1, rows of q
            and k norm near 1.5; embedding and position rows have norm near 1, but every fourth RMS 3e-3.
    """
    values = rng.standard_normal(shape)
    if name.endswith(".bias"):
        return 0.5 * values
    if name.endswith("layer_norm.weight"):
        return 1 + 0.3 * values
    if ".embed_" in name:
        values[::TINY_ROW_EVERY] *= TINY_ROW_STD * np.sqrt(shape[-1])
    values /= np.sqrt(shape[-1])
    return 1.5 * values if name.endswith(("q_proj.weight", "k_proj.weight")) else values


def random_weights(config: Mapping[str, Any], seed: int) -> dict[str, np.ndarray]:
    """Every tensor of the config's model, float64, by name. Raises: ValueError as `parse_config`."""
    rng = np.random.default_rng(seed)
    return {name: random_tensor(name, shape, rng) for name, shape in weight_shapes(parse_config(config)).items()}


def _layer(model: Seq2SeqConfig, *, cross: bool) -> dict[str, tuple[int, ...]]:
    C, F = model.hidden, model.intermediate
    shapes: dict[str, tuple[int, ...]] = {}
    for block in ("self_attn", "encoder_attn") if cross else ("self_attn",):
        shapes |= _pair(f"{block}_layer_norm", (C,))
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _pair(f"{block}.{projection}", (C, C))
    return shapes | _pair("final_layer_norm", (C,)) | _pair("fc1", (F, C)) | _pair("fc2", (C, F))


def _pair(name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _count(config: Mapping[str, Any], key: str) -> int:
    found = config.get(key)
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise ValueError(f"config: found {key} {found!r}, expected a positive integer")
    return found
