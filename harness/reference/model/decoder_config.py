"""The numbers of a plain decoder, as Qwen2 and Llama are, whose gradients the reference has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.reference.model.declaration import Attention, Decoder, FeedForward, Norm
from harness.reference.model.families import declare

MODEL_TYPES = ("llama", "qwen2")


@dataclass(frozen=True)
class DecoderConfig:
    """The numbers on which a plain decoder's forward pass depends."""

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


def parse_config(config: Mapping[str, Any]) -> DecoderConfig:
    """Read Hugging Face keys; raise on a model whose gradients the reference does not have.

    Raises: ValueError naming the key, what was found and what was expected.
    Source: transformers' Qwen2Config and LlamaConfig.
    """
    if config.get("model_type") not in MODEL_TYPES:
        expected = f"one of {', '.join(MODEL_TYPES)}"
        raise ValueError(f"config: found model_type {config.get('model_type')!r}, expected {expected}")
    model = declare(config).decoder
    attention, feed = model.blocks[0].mixers[0], model.blocks[0].feed
    _only_plain(model)
    assert isinstance(attention, Attention)
    assert isinstance(feed, FeedForward)
    assert attention.rope is not None
    return DecoderConfig(
        layers=len(model.blocks),
        hidden=model.hidden,
        intermediate=feed.width,
        heads=attention.heads,
        kv_heads=attention.kv_heads,
        head_dim=attention.head_dim,
        vocab=model.vocab,
        eps=model.final_norm.eps,
        theta=attention.rope.theta,
        tied=model.tied,
    )


def _only_plain(model: Decoder) -> None:
    """Refuse what gradients, tangents and quantised products of a plain decoder leave out."""
    for block in model.blocks:
        attention, feed = block.mixers[0], block.feed
        assert isinstance(attention, Attention)
        assert isinstance(feed, FeedForward)
        rope = attention.rope
        assert rope is not None
        known = {
            "hidden_act": (feed.act, "silu"),
            "rope_type": (dict(rope.scaling).get("rope_type", "default"), "default"),
            "partial_rotary_factor": (rope.dim / attention.head_dim, 1),
            "sliding_window": (attention.window, None),
            "norm": (block.before_mixer, Norm(model.final_norm.eps)),
        }
        for key, (found, expected) in known.items():
            if found != expected:
                raise ValueError(f"config: found {key} {found!r}, a plain decoder has only {expected!r}")
