"""Llama and its nearest relatives: Qwen2, Mistral, Ministral 3, SmolLM3."""

from __future__ import annotations

from dataclasses import replace

from harness.reference.model.declaration import Attention, Block, Decoder, Feed, FeedForward, Norm
from harness.reference.model.families.keys import Keys
from harness.reference.model.families.layout import family, stored
from harness.reference.model.norms import ACTIVATIONS
from harness.reference.model.tensors import Stored

ALL = frozenset("qkvo")


def attention_of(keys: Keys, biases: frozenset[str] = frozenset(), kind: str | None = None) -> Attention:
    """Grouped-query attention with RoPE over whole heads, scaled by 1/sqrt(D)."""
    _, heads, kv, width = keys.heads()
    return Attention(heads, kv, width, width, width**-0.5, keys.rope(width, kind), biases=biases)


def feed_of(keys: Keys, width: str = "intermediate_size", act: str = "hidden_act", bias: bool = False) -> FeedForward:
    """Gated, with the activation that the config names."""
    return FeedForward(keys.count(width), keys.one_of(act, tuple(ACTIVATIONS), "silu"), bias=bias)


def pre_norm(attention: Attention, feed: Feed, norm: Norm) -> Block:
    """A norm before attention and one before the feed-forward."""
    return Block((attention,), feed, before_mixer=norm, before_feed=norm)


def decoder_of(keys: Keys, blocks: tuple[Block, ...], norm: Norm, tied: bool = False) -> Decoder:
    """Embedding, blocks and head; tied is the family's default."""
    return Decoder(
        keys.count("vocab_size"), keys.count("hidden_size"), blocks, norm, keys.flag("tie_word_embeddings", tied)
    )


@family(num_key_value_heads=None)
def llama(keys: Keys) -> Stored:
    """Source: transformers' LlamaForCausalLM; arXiv:2302.13971."""
    norm, biases = Norm(keys.positive("rms_norm_eps", 1e-6)), ALL if keys.flag("attention_bias") else frozenset()
    block = pre_norm(attention_of(keys, biases), feed_of(keys, bias=keys.flag("mlp_bias")), norm)
    return stored("llama", keys, decoder_of(keys, (block,) * keys.count("num_hidden_layers"), norm))


@family()
def qwen2(keys: Keys) -> Stored:
    """Source: transformers' Qwen2ForCausalLM; arXiv:2407.10671."""
    norm, layers = Norm(keys.positive("rms_norm_eps", 1e-6)), keys.count("num_hidden_layers")
    slides, first = keys.flag("use_sliding_window"), keys.get("max_window_layers", 28)
    default = tuple("sliding_attention" if slides and i >= first else "full_attention" for i in range(layers))
    types = keys.layer_types(layers, ("full_attention", "sliding_attention"), default)
    base = attention_of(keys, frozenset("qkv"))
    window = keys.get("sliding_window", 4096)
    sliding = replace(base, window=window if slides else None)
    each = tuple(sliding if kind == "sliding_attention" else base for kind in types)
    feed = feed_of(keys)
    keys.without_effect("attention_bias", "mlp_bias")
    return stored("qwen2", keys, decoder_of(keys, tuple(pre_norm(a, feed, norm) for a in each), norm))


@family(sliding_window=4096)
def mistral(keys: Keys) -> Stored:
    """Source: transformers' MistralForCausalLM; arXiv:2310.06825."""
    norm = Norm(keys.positive("rms_norm_eps", 1e-6))
    attention = replace(attention_of(keys), window=keys.get("sliding_window", None))
    block = pre_norm(attention, feed_of(keys), norm)
    return stored("mistral", keys, decoder_of(keys, (block,) * keys.count("num_hidden_layers"), norm))
