"""Families of mixtures of experts: Mixtral, gpt-oss, DeepSeek V3, GLM-4 MoE."""

from __future__ import annotations

import math
from dataclasses import replace

from harness.reference.model.declaration import Attention, Block, Experts, Feed, FeedForward, Latent, Norm
from harness.reference.model.families.keys import Keys
from harness.reference.model.families.layout import Names, Slice, family, stored
from harness.reference.model.families.llama import ALL, attention_of, decoder_of, feed_of, pre_norm
from harness.reference.model.tensors import Stored

SHARED = {f"shared.{role}": f"mlp.shared_experts.{role}_proj" for role in ("gate", "up", "down")}


@family()
def mixtral(keys: Keys) -> Stored:
    """Source: transformers' MixtralForCausalLM; arXiv:2401.04088."""
    norm = Norm(keys.positive("rms_norm_eps", 1e-5))
    attention = replace(attention_of(keys), window=keys.get("sliding_window", None))
    mixture = Experts(
        keys.count("num_local_experts"), keys.count("num_experts_per_tok"), feed_of(keys), renormalise=True
    )
    blocks = (pre_norm(attention, mixture, norm),) * keys.count("num_hidden_layers")
    where = "block_sparse_moe.experts.{e}"
    names = {"router": "block_sparse_moe.gate", "experts.gate": f"{where}.w1", "experts.up": f"{where}.w3"}
    names["experts.down"] = f"{where}.w2"
    return stored("mixtral", keys, decoder_of(keys, blocks, norm), names)


@family(head_dim=64)
def gpt_oss(keys: Keys) -> Stored:
    """Source: transformers' GptOssForCausalLM; arXiv:2508.10925."""
    layers, kinds = keys.count("num_hidden_layers"), ("full_attention", "sliding_attention")
    norm, window = Norm(keys.positive("rms_norm_eps", 1e-5)), keys.count("sliding_window", 128)
    types = keys.layer_types(layers, kinds, [kinds[(i + 1) % 2] for i in range(layers)])
    base = replace(attention_of(keys, ALL if keys.flag("attention_bias", True) else frozenset()), sinks=True)
    keys.without_effect("hidden_act", "swiglu_limits")
    clamp = keys.positive("swiglu_alpha", 1.702), keys.positive("swiglu_limit", 7.0)
    width, count = keys.count("intermediate_size"), keys.count("num_local_experts")
    expert = FeedForward(width, clamp=clamp, bias=True)
    mixture = Experts(count, keys.count("num_experts_per_tok"), expert, score="softmax_of_chosen", router_bias=True)
    blocks = tuple(
        pre_norm(replace(base, window=window if kind == kinds[1] else None), mixture, norm) for kind in types
    )
    return stored("gpt_oss", keys, decoder_of(keys, blocks, norm), _neighbours(width))


def _neighbours(width: int) -> Names:
    """Gate and up columns take turns; matrices are stored as (inputs, outputs)."""
    names: dict[str, str | Slice] = {"router": "mlp.router"}
    for first, role in enumerate(("gate", "up")):
        rows, name = range(first, 2 * width, 2), "mlp.experts.gate_up_proj"
        names[f"experts.{role}.weight"] = Slice(name, rows, 2 * width, turned=True)
        names[f"experts.{role}.bias"] = Slice(f"{name}_bias", rows, 2 * width)
    names["experts.down.weight"] = Slice("mlp.experts.down_proj", turned=True)
    return {**names, "experts.down.bias": "mlp.experts.down_proj_bias"}


def grouped(keys: Keys, count: str = "n_routed_experts") -> Experts:
    """DeepSeek's router: sigmoid scores, a correction of the choice, groups, a factor behind.

    Source: transformers' DeepseekV3TopkRouter; arXiv:2408.15664, arXiv:2412.19437.
    """
    width, shared = keys.count("moe_intermediate_size"), keys.count("n_shared_experts", 1)
    feed = feed_of(keys, "moe_intermediate_size")
    return Experts(
        keys.count("num_local_experts", keys.get(count, None)),
        keys.count("num_experts_per_tok"),
        feed,
        score="sigmoid",
        renormalise=keys.flag("norm_topk_prob", True),
        floor=1e-20,
        correction="choice",
        groups=keys.count("n_group", 1),
        chosen_groups=keys.count("topk_group", 1),
        scale=keys.positive("routed_scaling_factor", 1.0),
        shared=replace(feed, width=width * shared),
    )


def _after_dense(keys: Keys) -> tuple[Feed, ...]:
    """Experts in all layers but the first `first_k_dense_replace`."""
    first, dense, sparse = keys.get("first_k_dense_replace", 0), feed_of(keys), grouped(keys)
    return tuple(dense if i < first else sparse for i in range(keys.count("num_hidden_layers")))


@family(first_k_dense_replace=1, partial_rotary_factor=0.5)
def glm4_moe(keys: Keys) -> Stored:
    """Source: transformers' Glm4MoeForCausalLM; arXiv:2508.06471."""
    keys.partial = True
    norm = Norm(keys.positive("rms_norm_eps", 1e-5))
    attention = attention_of(keys, frozenset("qkv") if keys.flag("attention_bias") else frozenset())
    if keys.flag("use_qk_norm"):
        attention = replace(attention, query_norm=norm, key_norm=norm)
    blocks = tuple(pre_norm(attention, feed, norm) for feed in _after_dense(keys))
    return stored("glm4_moe", keys, decoder_of(keys, blocks, norm), SHARED)


@family(first_k_dense_replace=3, q_lora_rank=1536, routed_scaling_factor=2.5)
def deepseek_v3(keys: Keys) -> Stored:
    """Source: transformers' DeepseekV3ForCausalLM; arXiv:2412.19437."""
    norm, attention = Norm(keys.positive("rms_norm_eps", 1e-6)), _latent(keys)
    blocks = tuple(Block((attention,), feed, before_mixer=norm, before_feed=norm) for feed in _after_dense(keys))
    plain = attention.latent is not None and attention.latent.query_rank is None
    names = {
        "q": "self_attn.q_proj" if plain else "self_attn.q_b_proj",
        "q_down": "self_attn.q_a_proj",
        "q_down_norm": "self_attn.q_a_layernorm",
        "kv_down": "self_attn.kv_a_proj_with_mqa",
        "kv_norm": "self_attn.kv_a_layernorm",
        "kv_up": "self_attn.kv_b_proj",
    }
    return stored("deepseek_v3", keys, decoder_of(keys, blocks, norm), {**names, **SHARED})


def _latent(keys: Keys) -> Attention:
    """The norms of the low-rank forms have eps 1e-6 whatever rms_norm_eps is."""
    heads, plain, turned = (keys.count(k) for k in ("num_attention_heads", "qk_nope_head_dim", "qk_rope_head_dim"))
    keys.only("num_key_value_heads", heads, default=128)
    keys.only("qk_head_dim", plain + turned)
    keys.only("head_dim", turned)
    low = Latent(keys.get("q_lora_rank", None), keys.count("kv_lora_rank"), plain, turned, Norm(1e-6))
    rope = keys.rope(turned, interleaved=keys.flag("rope_interleave", True))
    assert rope is not None
    scaling, scale = dict(rope.scaling), (plain + turned) ** -0.5
    factor, share = scaling.get("factor"), scaling.get("mscale_all_dim")
    if isinstance(factor, (int, float)) and isinstance(share, (int, float)) and factor > 1:
        scale *= (0.1 * share * math.log(factor) + 1) ** 2
    biases = frozenset({"q_down", "kv_down", "o"}) if keys.flag("attention_bias") else frozenset()
    values = keys.count("v_head_dim")
    return Attention(heads, heads, plain + turned, values, scale, rope, biases=biases, latent=low)
