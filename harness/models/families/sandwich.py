"""Decoders with norms after their parts, or windows and rotary settings by layer."""

from __future__ import annotations

from harness.models.families import rope
from harness.models.families.family import CONTEXT, Config, Family, layers, sized

_MAX = {"max_position_embeddings": CONTEXT}


def _by_kind(full: Config, sliding: Config) -> Config:
    return {"full_attention": full, "sliding_attention": sliding}


GEMMA2 = Family(
    "Gemma2ForCausalLM",
    sized(
        {"rms_norm_eps": 1e-6, "query_pre_attn_scalar": 14, "num_hidden_layers": 3, "sliding_window": 5},
        plain={
            "head_dim": 20,
            "attn_logit_softcapping": 4.0,
            "final_logit_softcapping": 6.0,
            "rope_parameters": rope.default(),
            "tie_word_embeddings": True,
        },
        bare={
            "head_dim": 10,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "attention_bias": True,
            "layer_types": layers("fsf"),
            "rope_parameters": rope.linear(),
        },
        window={
            "head_dim": 8,
            "num_key_value_heads": 3,
            "attn_logit_softcapping": 3.0,
            "sliding_window": 8,
            "hidden_activation": "gelu",
            "rope_parameters": rope.yarn(),
        },
    ),
    _MAX,
)
_NO_SOFTCAP = {"attn_logit_softcapping": "transformers stores it and never gives it to Gemma 3's attention"}
GEMMA3 = Family(
    "Gemma3ForCausalLM",
    sized(
        {"rms_norm_eps": 1e-6, "query_pre_attn_scalar": 14, "num_hidden_layers": 3, "sliding_window": 5},
        plain={
            "head_dim": 20,
            "layer_types": layers("sfs"),
            "rope_parameters": _by_kind(rope.default(900.0), rope.default(50.0)),
            "tie_word_embeddings": True,
        },
        linear={
            "head_dim": 10,
            "num_key_value_heads": 3,
            "layer_types": layers("fss"),
            "attention_bias": True,
            "final_logit_softcapping": 6.0,
            "attn_logit_softcapping": 4.0,
            "rope_parameters": _by_kind(rope.linear(900.0), rope.default(50.0)),
        },
        yarn={
            "head_dim": 12,
            "layer_types": layers("ssf"),
            "sliding_window": 8,
            "hidden_activation": "gelu",
            "rope_parameters": _by_kind(rope.yarn(), rope.linear(50.0)),
        },
    ),
    _MAX | _NO_SOFTCAP,
)
_GEMMA4 = {
    "rms_norm_eps": 1e-6,
    "sliding_window": 5,
    "head_dim": 10,
    "global_head_dim": 16,
    "rope_parameters": _by_kind(
        {"rope_type": "proportional", "partial_rotary_factor": 0.5, "rope_theta": 900.0}, rope.default(50.0)
    ),
    "tie_word_embeddings": True,
}
GEMMA4 = Family(
    "Gemma4ForCausalLM",
    sized(
        _GEMMA4,
        plain={
            "num_hidden_layers": 3,
            "layer_types": layers("sff"),
            "hidden_size_per_layer_input": 0,
            "final_logit_softcapping": 6.0,
            "attention_bias": True,
        },
        shared={
            "num_hidden_layers": 5,
            "layer_types": layers("sfssf"),
            "num_kv_shared_layers": 2,
            "use_double_wide_mlp": True,
            "hidden_size_per_layer_input": 6,
            "vocab_size_per_layer_input": 83,
        },
        experts={
            "num_hidden_layers": 2,
            "layer_types": layers("sf"),
            "hidden_size_per_layer_input": 0,
            "attention_k_eq_v": True,
            "num_global_key_value_heads": 3,
            "enable_moe_block": True,
            "num_experts": 5,
            "top_k_experts": 2,
            "moe_intermediate_size": 16,
            "tie_word_embeddings": False,
        },
    ),
    _MAX,
)
OLMO2 = Family(
    "Olmo2ForCausalLM",
    sized(
        {"rms_norm_eps": 1e-5},
        plain={"rope_parameters": rope.default()},
        biased={
            "attention_bias": True,
            "num_key_value_heads": 3,
            "head_dim": 20,
            "rope_parameters": rope.linear(),
            "tie_word_embeddings": True,
        },
        yarn={"num_key_value_heads": 6, "rope_parameters": rope.yarn(attention_factor=1.3), "hidden_act": "gelu"},
    ),
    _MAX,
)
OLMO3 = Family(
    "Olmo3ForCausalLM",
    sized(
        {"rms_norm_eps": 1e-5, "num_hidden_layers": 3, "sliding_window": 5},
        plain={"layer_types": layers("sfs"), "rope_parameters": _by_kind(rope.default(900.0), rope.default(50.0))},
        yarn={
            "layer_types": layers("fss"),
            "attention_bias": True,
            "head_dim": 20,
            "rope_parameters": _by_kind(rope.yarn(truncate=False), rope.default(50.0)),
            "tie_word_embeddings": True,
        },
        linear={
            "layer_types": layers("ssf"),
            "sliding_window": 8,
            "num_key_value_heads": 3,
            "rope_parameters": _by_kind(rope.linear(), rope.llama3(50.0)),
        },
    ),
    _MAX | {"rope_parameters.full_attention.truncate": "transformers looks for it beside the layer types only"},
)
GLM4 = Family(
    "Glm4ForCausalLM",
    sized(
        {"rms_norm_eps": 1e-5},
        plain={
            "head_dim": 20,
            "attention_bias": True,
            "rope_parameters": rope.default(partial_rotary_factor=0.5),
        },
        whole={
            "head_dim": 10,
            "attention_bias": False,
            "num_key_value_heads": 3,
            "rope_parameters": rope.linear(partial_rotary_factor=1.0),
            "hidden_act": "gelu",
        },
        yarn={
            "head_dim": 16,
            "attention_bias": True,
            "rope_parameters": rope.yarn(partial_rotary_factor=0.75),
            "tie_word_embeddings": True,
        },
    ),
    _MAX,
)
EXAONE4 = Family(
    "Exaone4ForCausalLM",
    sized(
        {"rms_norm_eps": 1e-5, "num_hidden_layers": 3},
        plain={"sliding_window": 5, "layer_types": layers("sfs"), "rope_parameters": rope.default()},
        full={
            "sliding_window": None,
            "layer_types": layers("fff"),
            "head_dim": 20,
            "rope_parameters": rope.llama3(),
            "tie_word_embeddings": True,
        },
        pattern={
            "sliding_window": 8,
            "sliding_window_pattern": 2,
            "num_key_value_heads": 3,
            "rope_parameters": rope.yarn(),
        },
    ),
    _MAX,
)
