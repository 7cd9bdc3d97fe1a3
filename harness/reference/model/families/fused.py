"""Families whose files keep several matrices in one, or whose norms stand elsewhere: Phi-3, GLM-4, OLMo 2 and 3."""

from __future__ import annotations

from dataclasses import replace

from harness.reference.model.declaration import Attention, Block, Norm
from harness.reference.model.families.keys import Keys
from harness.reference.model.families.layout import Slice, family, stored
from harness.reference.model.families.llama import ALL, attention_of, decoder_of, feed_of, pre_norm
from harness.reference.model.tensors import Stored


def fused_mlp(width: int) -> dict[str, Slice]:
    """The gate's rows, then the up projection's."""
    name = "mlp.gate_up_proj"
    return {"gate": Slice(name, range(width), 2 * width), "up": Slice(name, range(width, 2 * width), 2 * width)}


def fused_qkv(a: Attention, name: str = "self_attn.qkv_proj") -> dict[str, Slice]:
    """The rows of all queries, then of all keys, then of all values."""
    queries, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
    ends = (0, queries, queries + keys, queries + 2 * keys)
    return {role: Slice(name, range(ends[i], ends[i + 1]), ends[-1]) for i, role in enumerate("qkv")}


@family(original_max_position_embeddings=4096, num_key_value_heads=None)
def phi3(keys: Keys) -> Stored:
    """Source: transformers' Phi3ForCausalLM; arXiv:2404.14219."""
    keys.partial = True
    norm = Norm(keys.positive("rms_norm_eps", 1e-5))
    attention = replace(attention_of(keys), window=keys.get("sliding_window", None))
    feed = feed_of(keys)
    blocks = (pre_norm(attention, feed, norm),) * keys.count("num_hidden_layers")
    return stored("phi3", keys, decoder_of(keys, blocks, norm), {**fused_qkv(attention), **fused_mlp(feed.width)})


@family(attention_bias=True, head_dim=128, num_key_value_heads=2, partial_rotary_factor=0.5)
def glm4(keys: Keys) -> Stored:
    """Source: transformers' Glm4ForCausalLM."""
    keys.partial = True
    norm = Norm(keys.positive("rms_norm_eps", 1.5625e-07))
    attention = attention_of(keys, frozenset("qkv") if keys.flag("attention_bias") else frozenset())
    assert attention.rope is not None
    attention = replace(attention, rope=replace(attention.rope, interleaved=True))
    feed = feed_of(keys)
    block = Block((attention,), feed, before_mixer=norm, after_mixer=norm, before_feed=norm, after_feed=norm)
    names: dict[str, str | Slice] = {"after_mixer": "post_self_attn_layernorm", "after_feed": "post_mlp_layernorm"}
    names |= fused_mlp(feed.width)
    return stored("glm4", keys, decoder_of(keys, (block,) * keys.count("num_hidden_layers"), norm), names)


@family(num_key_value_heads=None)
def olmo2(keys: Keys) -> Stored:
    """Source: transformers' Olmo2ForCausalLM; arXiv:2501.00656."""
    layers = keys.count("num_hidden_layers")
    return _post_norm("olmo2", keys, (_wide_norms(keys),) * layers)


@family(num_key_value_heads=None)
def olmo3(keys: Keys) -> Stored:
    """Source: transformers' Olmo3ForCausalLM; RoPE apart for layers with and without a window."""
    layers = keys.count("num_hidden_layers")
    kinds = ("full_attention", "sliding_attention")
    types = keys.layer_types(layers, kinds, [kinds[(i + 1) % 4 != 0] for i in range(layers)])
    window = keys.count("sliding_window", 4096)
    each = (replace(_wide_norms(keys, kind), window=window if kind == kinds[1] else None) for kind in types)
    return _post_norm("olmo3", keys, tuple(each))


def _wide_norms(keys: Keys, kind: str | None = None) -> Attention:
    """Queries, and keys, normalised over all heads together."""
    norm = Norm(keys.positive("rms_norm_eps", 1e-5))
    attention = attention_of(keys, ALL if keys.flag("attention_bias") else frozenset(), kind)
    return replace(attention, query_norm=norm, key_norm=norm, norm_over="width")


def _post_norm(kind: str, keys: Keys, attentions: tuple[Attention, ...]) -> Stored:
    """Norms behind attention and feed-forward, and none before them."""
    norm, feed = Norm(keys.positive("rms_norm_eps", 1e-5)), feed_of(keys)
    blocks = tuple(Block((a,), feed, after_mixer=norm, after_feed=norm) for a in attentions)
    return stored(kind, keys, decoder_of(keys, blocks, norm))


@family()
def smollm3(keys: Keys) -> Stored:
    """Source: transformers' SmolLM3ForCausalLM; every fourth layer has no positions."""
    norm, layers = Norm(keys.positive("rms_norm_eps", 1e-6)), keys.count("num_hidden_layers")
    step = keys.get("no_rope_layer_interval", 4)
    turned = keys.get("no_rope_layers", [int((i + 1) % step != 0) for i in range(layers)])
    base = attention_of(keys, ALL if keys.flag("attention_bias") else frozenset())
    window, slides = keys.get("sliding_window", None), keys.flag("use_sliding_window")
    kinds = ("full_attention", "sliding_attention")
    # Masks follow layer_types; use_sliding_window only decides what these are where a config has none.
    default = [kinds[bool(slides and window and not turns)] for turns in turned]
    types = keys.layer_types(layers, kinds, default)
    if kinds[1] in types and window is None:
        raise ValueError("config: found sliding_attention in layer_types and no sliding_window, expected one")
    each = [replace(base, window=window if kind == kinds[1] else None) for kind in types]
    blocks = tuple(
        pre_norm(a if turns else replace(a, rope=None), feed_of(keys, bias=keys.flag("mlp_bias")), norm)
        for a, turns in zip(each, turned, strict=True)
    )
    return stored("smollm3", keys, decoder_of(keys, blocks, norm, tied=True))


@family(num_key_value_heads=None)
def granite(keys: Keys) -> Stored:
    """Source: transformers' GraniteForCausalLM; arXiv:2405.04324."""
    norm = Norm(keys.positive("rms_norm_eps", 1e-6))
    attention = attention_of(keys, ALL if keys.flag("attention_bias") else frozenset())
    attention = replace(attention, scale=keys.positive("attention_multiplier", 1.0))
    block = pre_norm(attention, feed_of(keys, bias=keys.flag("mlp_bias")), norm)
    block = replace(block, residual=keys.positive("residual_multiplier", 1.0))
    decoder = decoder_of(keys, (block,) * keys.count("num_hidden_layers"), norm)
    factors = keys.positive("embedding_multiplier", 1.0), 1 / keys.positive("logits_scaling", 1.0)
    return stored("granite", keys, replace(decoder, embed_factor=factors[0], logit_factor=factors[1]))


@family(head_dim=128)
def ministral3(keys: Keys) -> Stored:
    """Source: transformers' Ministral3ForCausalLM; queries grow with the logarithm of the position."""
    keys.beside_rope = frozenset({"llama_4_scaling_beta", "max_position_embeddings"})
    norm, rope = Norm(keys.positive("rms_norm_eps", 1e-5)), keys.get("rope_parameters")
    beta, context = rope.get("llama_4_scaling_beta"), rope.get("original_max_position_embeddings")
    if not beta or not context:
        raise ValueError(
            f"config: found llama_4_scaling_beta {beta!r} and original_max_position_embeddings {context!r} in "
            "rope_parameters, expected both to be positive"
        )
    attention = replace(attention_of(keys), window=keys.get("sliding_window", None), temperature=(beta, context))
    blocks = (pre_norm(attention, feed_of(keys), norm),) * keys.count("num_hidden_layers")
    return stored("ministral3", keys, decoder_of(keys, blocks, norm))
