"""Qwen3 and what grew from it: mixtures of experts, output gates, gated delta nets."""

from __future__ import annotations

from dataclasses import replace

from harness.reference.model.declaration import Attention, Block, Experts, Feed, Norm
from harness.reference.model.families.keys import Keys
from harness.reference.model.families.layout import Names, Slice, family, stored
from harness.reference.model.families.llama import ALL, attention_of, decoder_of, feed_of, pre_norm
from harness.reference.model.gated_delta_net_config import GatedDeltaNetConfig
from harness.reference.model.tensors import Stored

MIXED = ("full_attention", "linear_attention")


def normed(attention: Attention, norm: Norm) -> Attention:
    """Queries and keys normalised per head, before RoPE."""
    return replace(attention, query_norm=norm, key_norm=norm)


@family(head_dim=128)
def qwen3(keys: Keys) -> Stored:
    """Source: transformers' Qwen3ForCausalLM; arXiv:2505.09388."""
    norm = Norm(keys.positive("rms_norm_eps", 1e-6))
    blocks = tuple(pre_norm(a, feed_of(keys), norm) for a in _attentions(keys, norm))
    return stored("qwen3", keys, decoder_of(keys, blocks, norm))


@family()
def qwen3_moe(keys: Keys) -> Stored:
    """Source: transformers' Qwen3MoeForCausalLM."""
    norm = Norm(keys.positive("rms_norm_eps", 1e-6))
    attention = replace(_attentions(keys, norm)[0], window=None)
    if keys.flag("use_sliding_window"):
        attention = replace(attention, window=keys.get("sliding_window", 4096))
    layers = keys.count("num_hidden_layers")
    blocks = tuple(pre_norm(attention, feed, norm) for feed in mixtures(keys, layers))
    return stored("qwen3_moe", keys, decoder_of(keys, blocks, norm))


def _attentions(keys: Keys, norm: Norm) -> tuple[Attention, ...]:
    """One attention a layer; those of type sliding_attention see `sliding_window` positions."""
    layers, slides = keys.count("num_hidden_layers"), keys.flag("use_sliding_window")
    biases = ALL if keys.flag("attention_bias") else frozenset()
    base = normed(attention_of(keys, biases), norm)
    window, first = keys.get("sliding_window", 4096), keys.get("max_window_layers", 28)
    default = tuple("sliding_attention" if slides and i >= first else "full_attention" for i in range(layers))
    types = keys.layer_types(layers, ("full_attention", "sliding_attention"), default)
    sliding = replace(base, window=window if slides else None)
    return tuple(sliding if kind == "sliding_attention" else base for kind in types)


def experts_of(keys: Keys) -> int:
    """The number of experts, under the name of either generation of configs."""
    return keys.count("num_experts", keys.get("num_local_experts", None))


def mixtures(keys: Keys, layers: int) -> tuple[Feed, ...]:
    """Experts in every `decoder_sparse_step`-th layer but those in `mlp_only_layers`; dense layers else."""
    count, step = experts_of(keys), keys.count("decoder_sparse_step", 1)
    dense, without = feed_of(keys), keys.get("mlp_only_layers", [])
    mixture = Experts(
        count,
        keys.count("num_experts_per_tok"),
        feed_of(keys, "moe_intermediate_size"),
        renormalise=keys.flag("norm_topk_prob"),
    )
    return tuple(mixture if i not in without and (i + 1) % step == 0 else dense for i in range(layers))


@family(head_dim=256, num_key_value_heads=4, partial_rotary_factor=0.25)
def qwen3_5_text(keys: Keys) -> Stored:
    """Source: transformers' Qwen3_5ForCausalLM."""
    feeds = (feed_of(keys),) * keys.count("num_hidden_layers")
    return _mixed("qwen3_5_text", keys, feeds)


@family(head_dim=256, num_key_value_heads=2, partial_rotary_factor=0.25)
def qwen3_5_moe_text(keys: Keys) -> Stored:
    """Source: transformers' Qwen3_5MoeForCausalLM."""
    return _mixed("qwen3_5_moe_text", keys, (_shared(keys, renormalise=True),) * keys.count("num_hidden_layers"))


@family(head_dim=256, num_key_value_heads=2, partial_rotary_factor=0.25)
def qwen3_next(keys: Keys) -> Stored:
    """Source: transformers' Qwen3NextForCausalLM."""
    layers = keys.count("num_hidden_layers")
    sparse = _shared(keys, renormalise=keys.flag("norm_topk_prob", True))
    feeds = tuple(sparse if isinstance(feed, Experts) else feed for feed in mixtures(keys, layers))
    return _mixed("qwen3_next", keys, feeds, fused=True)


def _shared(keys: Keys, *, renormalise: bool) -> Experts:
    """Experts and a shared one behind a gate of its own."""
    return Experts(
        experts_of(keys),
        keys.count("num_experts_per_tok"),
        feed_of(keys, "moe_intermediate_size"),
        renormalise=renormalise,
        shared=feed_of(keys, "shared_expert_intermediate_size"),
        shared_gate=True,
    )


def _mixed(kind: str, keys: Keys, feeds: tuple[Feed, ...], *, fused: bool = False) -> Stored:
    """Attention with an output gate, or a gated delta net, as `layer_types` says; gains are stored minus 1."""
    keys.beside_rope, keys.partial = frozenset({"mrope_section", "mrope_interleaved"}), True
    layers, norm = keys.count("num_hidden_layers"), Norm(keys.positive("rms_norm_eps", 1e-6), plus_one=True)
    step = keys.get("full_attention_interval", 4)
    default = [MIXED[(i + 1) % step != 0] for i in range(layers)]
    biases = ALL if keys.flag("attention_bias") else frozenset()
    attention = replace(normed(attention_of(keys, biases), norm), gated=True)
    keys.only("hidden_act", "silu")  # the delta net's convolution has it too, and the reference only this one
    delta = _delta(keys)
    types = keys.layer_types(layers, MIXED, default)
    blocks = tuple(
        Block((attention if kind == MIXED[0] else delta,), feed, before_mixer=norm, before_feed=norm)
        for kind, feed in zip(types, feeds, strict=True)
    )
    return stored(kind, keys, decoder_of(keys, blocks, norm), _together(delta) if fused else None)


def _delta(keys: Keys) -> GatedDeltaNetConfig:
    heads, values = keys.count("linear_num_key_heads"), keys.count("linear_num_value_heads")
    if values % heads:
        raise ValueError(f"config: found {values} value heads and {heads} key heads, expected a multiple")
    return GatedDeltaNetConfig(
        keys.count("hidden_size"),
        heads,
        values,
        keys.count("linear_key_head_dim"),
        keys.count("linear_value_head_dim"),
        keys.count("linear_conv_kernel_dim"),
        keys.positive("rms_norm_eps", 1e-6),
    )


def _together(delta: GatedDeltaNetConfig) -> Names:
    """Qwen3-Next keeps q, k, v and z of a key head side by side in one matrix, and b and a in another."""
    group = delta.value_heads // delta.key_heads
    parts = {"q": delta.key_dim, "k": delta.key_dim, "v": group * delta.value_dim, "z": group * delta.value_dim}
    wide, rows, start = sum(parts.values()), {}, 0
    for name, width in parts.items():
        rows[name] = [head * wide + start + i for head in range(delta.key_heads) for i in range(width)]
        start += width
    qkvz, ba = "linear_attn.in_proj_qkvz.weight", "linear_attn.in_proj_ba.weight"
    small = [[2 * group * head + i for head in range(delta.key_heads) for i in range(group)]]
    small.append([row + group for row in small[0]])
    return {
        "delta.in_proj_qkv.weight": Slice(qkvz, tuple(rows["q"] + rows["k"] + rows["v"]), delta.key_heads * wide),
        "delta.in_proj_z.weight": Slice(qkvz, tuple(rows["z"]), delta.key_heads * wide),
        "delta.in_proj_b.weight": Slice(ba, tuple(small[0]), 2 * delta.value_heads),
        "delta.in_proj_a.weight": Slice(ba, tuple(small[1]), 2 * delta.value_heads),
    }
