"""Gemma 2 and 3: sandwich norms with gains stored minus 1, scaled embeddings, windows, soft caps."""

from __future__ import annotations

from dataclasses import replace

from harness.reference.model.declaration import Attention, Block, Decoder, FeedForward, Norm
from harness.reference.model.families.keys import Keys
from harness.reference.model.families.layout import family, stored
from harness.reference.model.families.llama import ALL, decoder_of, feed_of
from harness.reference.model.tensors import Stored

KINDS = ("full_attention", "sliding_attention")
GELU = "gelu_pytorch_tanh"
SANDWICH = {"before_feed": "pre_feedforward_layernorm"}


@family(head_dim=256, hidden_activation=GELU, attn_logit_softcapping=50.0, final_logit_softcapping=30.0)
def gemma2(keys: Keys) -> Stored:
    """Source: transformers' Gemma2ForCausalLM; arXiv:2408.00118."""
    layers = keys.count("num_hidden_layers")
    types = keys.layer_types(layers, KINDS, [KINDS[(i + 1) % 2] for i in range(layers)])
    norm, softcap = Norm(keys.positive("rms_norm_eps", 1e-6), plus_one=True), keys.get("attn_logit_softcapping", None)
    blocks = tuple(_block(keys, replace(_attention(keys, kind), softcap=softcap), norm) for kind in types)
    return stored("gemma2", keys, _decoder(keys, blocks, norm), SANDWICH)


@family(head_dim=256, hidden_activation=GELU)
def gemma3_text(keys: Keys) -> Stored:
    """Source: transformers' Gemma3ForCausalLM; arXiv:2503.19786."""
    layers, step = (
        keys.count("num_hidden_layers"),
        keys.get("sliding_window_pattern", keys.get("_sliding_window_pattern", 6)),
    )
    keys.only("use_bidirectional_attention", False)
    keys.without_effect("attn_logit_softcapping")
    types = keys.layer_types(layers, KINDS, [KINDS[(i + 1) % step != 0] for i in range(layers)])
    norm = Norm(keys.positive("rms_norm_eps", 1e-6), plus_one=True)
    blocks = tuple(
        _block(keys, replace(_attention(keys, kind), query_norm=norm, key_norm=norm), norm) for kind in types
    )
    return stored("gemma3_text", keys, _decoder(keys, blocks, norm), SANDWICH)


def _attention(keys: Keys, kind: str) -> Attention:
    """Scaled by query_pre_attn_scalar, whatever the head's width is."""
    _, heads, kv, width = keys.heads()
    scale = keys.positive("query_pre_attn_scalar", 256) ** -0.5
    window = keys.count("sliding_window", 4096) if kind == KINDS[1] else None
    biases = ALL if keys.flag("attention_bias") else frozenset()
    return Attention(heads, kv, width, width, scale, keys.rope(width, kind), window=window, biases=biases)


def _block(keys: Keys, attention: Attention, norm: Norm) -> Block:
    feed: FeedForward = feed_of(keys, act=_act(keys))
    return Block((attention,), feed, before_mixer=norm, after_mixer=norm, before_feed=norm, after_feed=norm)


def _act(keys: Keys) -> str:
    """The key that names the activation; `hidden_act` of old files is not read."""
    keys.without_effect("hidden_act")
    return "hidden_activation"


def _decoder(keys: Keys, blocks: tuple[Block, ...], norm: Norm) -> Decoder:
    return replace(
        decoder_of(keys, blocks, norm, tied=True),
        embed_factor=keys.count("hidden_size") ** 0.5,
        logit_softcap=keys.get("final_logit_softcapping", None),
    )


@family(head_dim=256, hidden_activation=GELU, hidden_size_per_layer_input=256)
def gemma4_text(keys: Keys) -> Stored:
    """Without experts, inputs per layer, and layers that share keys. Source: transformers' Gemma4ForCausalLM."""
    keys.only("enable_moe_block", False)
    keys.only("num_kv_shared_layers", 0)
    keys.only("hidden_size_per_layer_input", 0)
    keys.only("use_bidirectional_attention", None)
    keys.without_effect("vocab_size_per_layer_input", "use_double_wide_mlp", "moe_intermediate_size", "num_experts")
    keys.without_effect("top_k_experts")
    layers, norm = keys.count("num_hidden_layers"), Norm(keys.positive("rms_norm_eps", 1e-6))
    types = keys.layer_types(layers, KINDS)
    if types[-1] != KINDS[0]:
        raise ValueError(f"config: found {types[-1]} as the last of layer_types, expected {KINDS[0]} (gemma4_text)")
    own, same = keys.get("per_layer_config"), keys.flag("attention_k_eq_v")
    blocks = []
    for i, kind in enumerate(types):
        a = _gemma4_attention(keys, kind, own.get(str(i), {}), norm, same and kind == KINDS[0])
        blocks.append(replace(_block(keys, a, norm), scalar=True))
    return stored("gemma4_text", keys, _decoder(keys, tuple(blocks), norm), SANDWICH)


def _gemma4_attention(keys: Keys, kind: str, own: dict[str, int], norm: Norm, same: bool) -> Attention:
    """Scores are not scaled; a layer may have heads of its own. Units: same says that values are keys."""
    _, heads, kv, width = keys.heads()
    width, kv = own.get("head_dim", width), own.get("num_key_value_heads", kv)
    biases = ALL if keys.flag("attention_bias") else frozenset()
    return Attention(
        heads,
        kv,
        width,
        width,
        1.0,
        keys.rope(width, kind),
        window=keys.count("sliding_window", 512) if kind == KINDS[1] else None,
        biases=biases,
        query_norm=norm,
        key_norm=norm,
        value_norm=replace(norm, gain=False),
        value_of_key=same,
    )
