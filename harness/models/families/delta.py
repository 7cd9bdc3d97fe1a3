"""Decoders of attention and gated delta nets in turn."""

from __future__ import annotations

from harness.models.families import rope
from harness.models.families.family import CONTEXT, EXPERTS_UNFUSED, Config, Family, layers, sized

_MAX = {"max_position_embeddings": CONTEXT}

_DELTA = {
    "rms_norm_eps": 1e-6,
    "head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 6,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 5,
    "linear_conv_kernel_dim": 4,
}
_EXPERTS = {
    "num_experts": 5,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 18,
}
_MROPE = {"mrope_section": [2, 1, 1]}
_THIRD = {"layer_types": layers("lfl"), "num_hidden_layers": 3, "linear_conv_kernel_dim": 3}
_TEXT_ONLY = {"rope_parameters.mrope_section": "text has the same position on all three axes"}


def _variants(base: Config, more: Config, biased: Config, tied: Config) -> dict[str, Config]:
    """`more` is added to every rotary setting."""
    return sized(
        {**_DELTA, **base},
        plain={
            "layer_types": layers("lf"),
            "head_dim": 32,
            "rope_parameters": rope.default(partial_rotary_factor=0.25, **more),
        },
        biased={
            **_THIRD,
            "attention_bias": True,
            "linear_num_key_heads": 3,
            "rope_parameters": rope.linear(partial_rotary_factor=0.5, **more),
            **biased,
        },
        tied={
            "layer_types": layers("fl"),
            "num_key_value_heads": 3,
            "linear_num_value_heads": 2,
            "rope_parameters": rope.yarn(partial_rotary_factor=0.5, **more),
            "tie_word_embeddings": True,
            **tied,
        },
    )


QWEN3_5 = Family("Qwen3_5ForCausalLM", _variants({}, _MROPE, {}, {}), _MAX | _TEXT_ONLY)
QWEN3_5_MOE = Family(
    "Qwen3_5MoeForCausalLM",
    {
        name: {key: value for key, value in keys.items() if key != "intermediate_size"}
        for name, keys in _variants(_EXPERTS, _MROPE, {}, {}).items()
    },
    _MAX | _TEXT_ONLY,
    EXPERTS_UNFUSED,
)
QWEN3_NEXT = Family(
    "Qwen3NextForCausalLM",
    _variants(
        {**_EXPERTS, "norm_topk_prob": True},
        {},
        {"decoder_sparse_step": 2, "norm_topk_prob": False},
        {"mlp_only_layers": [1]},
    ),
    _MAX | {"plain:intermediate_size": "every layer has experts"},
    EXPERTS_UNFUSED,
)
