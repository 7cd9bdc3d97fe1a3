"""Families with state space layers: Mamba 2, Granite 4, Falcon H1, Nemotron H."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.reference.model.declaration import Attention, Block, Experts, Feed, FeedForward, Mamba2, Norm
from harness.reference.model.families.experts import grouped
from harness.reference.model.families.keys import Keys
from harness.reference.model.families.layout import Names, Slice, family, stored
from harness.reference.model.families.llama import ALL, attention_of, decoder_of, feed_of
from harness.reference.model.norms import ACTIVATIONS
from harness.reference.model.tensors import Stored

MAMBA = {
    **{f"mamba.{role}": f"mixer.{name}" for role, name in (("in", "in_proj"), ("conv", "conv1d"), ("out", "out_proj"))},
    **{f"mamba.{name}": f"mixer.{name}" for name in ("dt_bias", "A_log", "D", "norm")},
}
PROJECTIONS = {"mamba.in": "mamba.in_proj", "mamba.conv": "mamba.conv1d", "mamba.out": "mamba.out_proj"}
LAYER = "backbone.layers.{i}."
BACKBONE = {"embed": "backbone.embeddings", "final_norm": "backbone.norm_f"}


def _number(found: Any) -> float:
    """A float; infinity as transformers writes it into JSON."""
    return float(found["__float__"]) if isinstance(found, dict) else float(found)


def _limits(keys: Keys) -> tuple[float, float]:
    low, high = keys.get("time_step_limit", (0.0, float("inf")))
    return _number(low), _number(high)


@family(n_groups=8)
def mamba2(keys: Keys) -> Stored:
    """Source: transformers' Mamba2ForCausalLM; arXiv:2405.21060."""
    keys.without_effect("chunk_size", "time_step_rank", "residual_in_fp32", "rms_norm")
    hidden, layers = keys.count("hidden_size"), keys.count("num_hidden_layers")
    norm, bias = Norm(keys.positive("layer_norm_epsilon", 1e-5)), keys.flag("use_bias")
    heads, width = keys.count("num_heads"), keys.count("head_dim")
    keys.only("expand", heads * width / hidden)
    mixer = Mamba2(
        heads,
        width,
        keys.count("n_groups", 1),
        keys.count("state_size"),
        keys.count("conv_kernel"),
        conv_bias=keys.flag("use_conv_bias", True),
        in_bias=bias,
        out_bias=bias,
        norm=norm,
        act=keys.one_of("hidden_act", tuple(ACTIVATIONS), "silu"),
        steps=_limits(keys),
    )
    decoder = decoder_of(keys, (Block((mixer,), None, before_mixer=norm),) * layers, norm)
    return stored("mamba2", keys, decoder, {**MAMBA, "before_mixer": "norm"}, layer=LAYER, outer=BACKBONE)


@family(num_local_experts=8, num_key_value_heads=None)
def granitemoehybrid(keys: Keys) -> Stored:
    """Source: transformers' GraniteMoeHybridForCausalLM."""
    keys.without_effect("mamba_chunk_size")
    layers, norm = keys.count("num_hidden_layers"), Norm(keys.positive("rms_norm_eps", 1e-6))
    types = keys.layer_types(layers, ("linear_attention", "full_attention"), ("linear_attention",) * layers)
    attention = attention_of(keys, ALL if keys.flag("attention_bias") else frozenset())
    turned = keys.one_of("position_embedding_type", ("rope", "nope", None), None) == "rope"
    attention = replace(
        attention, scale=keys.positive("attention_multiplier", 1.0), rope=attention.rope if turned else None
    )
    shared, count = feed_of(keys, "shared_intermediate_size"), keys.get("num_local_experts", 0)
    expert, chosen = feed_of(keys), keys.count("num_experts_per_tok", 2)
    feed: Feed = shared
    if count:
        feed = Experts(count, chosen, expert, score="softmax_of_chosen", shared=shared)
    residual, mamba = (
        keys.positive("residual_multiplier", 1.0),
        _mamba(keys, keys.count("mamba_expand") * keys.count("hidden_size"), 1e-6),
    )
    blocks = tuple(
        Block((attention if kind == "full_attention" else mamba,), feed, norm, None, norm, residual=residual)
        for kind in types
    )
    decoder = replace(
        decoder_of(keys, blocks, norm),
        embed_factor=keys.positive("embedding_multiplier", 1.0),
        logit_factor=1 / keys.positive("logits_scaling", 1.0),
    )
    return stored("granitemoehybrid", keys, decoder, _granite_names(shared, expert, "shared." if count else ""))


def _mamba(keys: Keys, inner: int, eps: float) -> Mamba2:
    """A layer of `inner` channels from the keys that Granite 4 and Falcon H1 share."""
    heads, bias = keys.count("mamba_n_heads"), keys.flag("mamba_proj_bias")
    keys.only("mamba_d_head", inner // heads)
    return Mamba2(
        heads,
        inner // heads,
        keys.count("mamba_n_groups"),
        keys.count("mamba_d_state"),
        keys.count("mamba_d_conv"),
        conv_bias=keys.flag("mamba_conv_bias", True),
        in_bias=bias,
        out_bias=bias,
        norm=Norm(keys.positive("rms_norm_eps", eps)),
        act=keys.one_of("hidden_act", tuple(ACTIVATIONS), "silu"),
        steps=_limits(keys),
    )


def _granite_names(shared: FeedForward, expert: FeedForward, prefix: str) -> Names:
    names: dict[str, str | Slice] = dict(PROJECTIONS)
    names["router"] = "block_sparse_moe.router.layer"
    for at, where, width in (
        (prefix, "shared_mlp", shared.width),
        ("experts.", "block_sparse_moe", expert.width),
    ):
        for first, role in enumerate(("gate", "up")):
            rows = range(first * width, (first + 1) * width)
            names[f"{at}{role}"] = Slice(f"{where}.input_linear", rows, 2 * width)
        names[f"{at}down"] = f"{where}.output_linear"
    return names


@family()
def falcon_h1(keys: Keys) -> Stored:
    """Source: transformers' FalconH1ForCausalLM; arXiv:2507.22448."""
    keys.without_effect("mamba_chunk_size", "num_logits_to_keep", "mamba_use_mlp", "mamba_expand")
    norm, layers = Norm(keys.positive("rms_norm_eps", 1e-5)), keys.count("num_hidden_layers")
    attention = attention_of(keys, ALL if keys.flag("attention_bias") else frozenset())
    attention = replace(attention, key_factor=keys.positive("key_multiplier", 1.0))
    gate, down = keys.get("mlp_multipliers", (1.0, 1.0))
    feed = replace(feed_of(keys, bias=keys.flag("mlp_bias")), multipliers=(gate, down))
    factors = (
        (keys.positive("ssm_in_multiplier", 1.0), keys.positive("ssm_out_multiplier", 1.0)),
        (keys.positive("attention_in_multiplier", 1.0), keys.positive("attention_out_multiplier", 1.0)),
    )
    block = Block((_falcon_mamba(keys), attention), feed, norm, None, norm, mixer_factors=factors)
    decoder = replace(
        decoder_of(keys, (block,) * layers, norm),
        embed_factor=keys.positive("embedding_multiplier", 1.0),
        logit_factor=keys.positive("lm_head_multiplier", 1.0),
    )
    names = dict(PROJECTIONS)
    names |= {role: f"feed_forward.{role}_proj" for role in ("gate", "up", "down")}
    names["before_feed"] = "pre_ff_layernorm"
    return stored("falcon_h1", keys, decoder, names, outer={"final_norm": "model.final_layernorm"})


def _falcon_mamba(keys: Keys) -> Mamba2:
    inner = keys.get("mamba_d_ssm", None) or keys.count("mamba_expand", 2) * keys.count("hidden_size")
    usual = _mamba(keys, inner, 1e-5)
    return replace(
        usual,
        out_bias=keys.flag("projectors_bias"),
        norm=usual.norm if keys.flag("mamba_rms_norm") else None,
        norm_before_gate=keys.flag("mamba_norm_before_gate", True),
        factors=tuple(keys.get("ssm_multipliers", (1.0,) * 5)),
    )


@family(head_dim=128)
def nemotron_h(keys: Keys) -> Stored:
    """Source: transformers' NemotronHForCausalLM; arXiv:2504.03624."""
    keys.without_effect(
        *("chunk_size", "expand", "mamba_proj_bias", "mamba_ssm_cache_dtype", "residual_in_fp32", "attention_bias"),
        *("moe_shared_expert_overlap", "mtp_layers_block_type", "num_nextn_predict_layers", "num_logits_to_keep"),
        *("sliding_window", "time_step_limit", "max_position_embeddings", "layer_types", "hybrid_override_pattern"),
    )
    norm, mlp_bias = Norm(keys.positive("layer_norm_epsilon", 1e-5)), keys.flag("mlp_bias")
    act = keys.one_of("mlp_hidden_act", tuple(ACTIVATIONS), "relu2")
    dense = FeedForward(keys.count("intermediate_size"), act, gated=False, bias=mlp_bias)
    kinds = {
        "linear_attention": Block((_nemotron_mamba(keys),), None, norm),
        "full_attention": Block((_without_positions(keys),), None, norm),
        "mlp": Block((), dense, before_feed=norm),
        "moe": Block((), _nemotron_experts(keys, act, mlp_bias), before_feed=norm),
    }
    types = keys.get("layers_block_type")
    for kind in types:
        if kind not in kinds:
            raise ValueError(f"config: found {kind!r} in layers_block_type, expected one of {', '.join(kinds)}")
    decoder = decoder_of(keys, tuple(kinds[kind] for kind in types), norm)
    names = {**MAMBA, "before_mixer": "norm", "before_feed": "norm", **{role: f"mixer.{role}_proj" for role in "qkvo"}}
    names |= {role: f"mixer.{role}_proj" for role in ("up", "down")}
    names |= {f"shared.{role}": f"mixer.shared_experts.{role}_proj" for role in ("up", "down")}
    names |= {f"experts.{role}": f"mixer.experts.{{e}}.{role}_proj" for role in ("up", "down")}
    names |= {"router": "mixer.gate", "router.correction": "mixer.gate.e_score_correction_bias"}
    names |= {"latent_in": "mixer.fc1_latent_proj", "latent_out": "mixer.fc2_latent_proj"}
    return stored("nemotron_h", keys, decoder, names, layer=LAYER, outer=BACKBONE)


def _without_positions(keys: Keys) -> Attention:
    _, heads, kv, width = keys.heads()
    return Attention(heads, kv, width, width, width**-0.5, None)


def _nemotron_mamba(keys: Keys) -> Mamba2:
    bias = keys.flag("use_bias")
    return Mamba2(
        keys.count("mamba_num_heads"),
        keys.count("mamba_head_dim"),
        keys.count("n_groups"),
        keys.count("ssm_state_size"),
        keys.count("conv_kernel"),
        conv_bias=keys.flag("use_conv_bias", True),
        in_bias=bias,
        out_bias=bias,
        norm=Norm(keys.positive("layer_norm_epsilon", 1e-5)),
        act=keys.one_of("mamba_hidden_act", tuple(ACTIVATIONS), "silu"),
        steps=(_number(keys.get("time_step_min", 0.001)), float("inf")),
    )


def _nemotron_experts(keys: Keys, act: str, bias: bool) -> Experts:
    plain = FeedForward(keys.count("moe_intermediate_size"), act, gated=False)
    keys.get("n_shared_experts", 1)
    shared = FeedForward(keys.count("moe_shared_expert_intermediate_size"), act, gated=False, bias=bias)
    latent = keys.get("moe_latent_size", None)
    return replace(grouped(keys), expert=plain, shared=shared, latent=latent, latent_bias=bias)
