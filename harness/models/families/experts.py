"""Decoders with a choice of experts, and with latent attention."""

from __future__ import annotations

from harness.models.families import rope
from harness.models.families.family import CONTEXT, EXPERTS_UNFUSED, Family, layers, sized

_MAX = {"max_position_embeddings": CONTEXT}

QWEN3_MOE = Family(
    "Qwen3MoeForCausalLM",
    sized(
        {
            "rms_norm_eps": 1e-6,
            "head_dim": 20,
            "num_experts": 5,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 16,
            "norm_topk_prob": True,
        },
        plain={"rope_parameters": rope.default()},
        raw={
            "norm_topk_prob": False,
            "num_experts_per_tok": 3,
            "head_dim": 10,
            "num_hidden_layers": 4,
            "decoder_sparse_step": 2,
            "mlp_only_layers": [1],
            "use_sliding_window": True,
            "sliding_window": 5,
            "rope_parameters": rope.linear(),
        },
        biased={
            "attention_bias": True,
            "num_key_value_heads": 3,
            "rope_parameters": rope.yarn(),
            "tie_word_embeddings": True,
        },
    ),
    _MAX | {f"{name}:intermediate_size": "every layer has experts" for name in ("plain", "biased")},
    EXPERTS_UNFUSED,
)
MIXTRAL = Family(
    "MixtralForCausalLM",
    sized(
        {"rms_norm_eps": 1e-5, "num_local_experts": 5, "num_experts_per_tok": 2},
        plain={"rope_parameters": rope.default()},
        window={"head_dim": 20, "sliding_window": 5, "rope_parameters": rope.linear(), "num_experts_per_tok": 3},
        # With head_dim null, yarn of transformers multiplies None: only the other kinds fall back on hidden / heads.
        tied={"num_key_value_heads": 3, "rope_parameters": rope.llama3(), "tie_word_embeddings": True},
        yarn={"head_dim": 14, "rope_parameters": rope.yarn()},
    ),
    _MAX,
    "mlp.* lies in the files as block_sparse_moe.*, experts one by one as experts.<e>.w1 (gate), w3 (up), w2 (down)",
)
GPT_OSS = Family(
    "GptOssForCausalLM",
    sized(
        {
            "rms_norm_eps": 1e-5,
            "head_dim": 20,
            "num_local_experts": 5,
            "num_experts_per_tok": 2,
            "sliding_window": 5,
            "swiglu_limit": 0.9,
            "swiglu_alpha": 1.3,
        },
        plain={"num_hidden_layers": 3, "rope_parameters": rope.yarn(truncate=False)},
        whole={
            "attention_bias": False,
            "layer_types": layers("fs"),
            "sliding_window": 8,
            "num_key_value_heads": 3,
            "rope_parameters": rope.default(),
        },
        tied={
            "num_experts_per_tok": 3,
            "layer_types": layers("sf"),
            "rope_parameters": rope.linear(),
            "tie_word_embeddings": True,
        },
    ),
    _MAX,
)
_ROUTED = {
    "rms_norm_eps": 1e-5,
    "num_hidden_layers": 3,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 16,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "n_group": 4,
    "topk_group": 2,
    "n_shared_experts": 1,
    "routed_scaling_factor": 1.7,
    "norm_topk_prob": True,
}
GLM4_MOE = Family(
    "Glm4MoeForCausalLM",
    sized(
        _ROUTED,
        plain={"use_qk_norm": True, "head_dim": 20, "rope_parameters": rope.default(partial_rotary_factor=0.5)},
        raw={
            "norm_topk_prob": False,
            "attention_bias": True,
            "n_shared_experts": 2,
            "num_key_value_heads": 3,
            "rope_parameters": rope.linear(partial_rotary_factor=0.5),
        },
        tied={
            "first_k_dense_replace": 0,
            "num_hidden_layers": 2,
            "n_group": 1,
            "topk_group": 1,
            "use_qk_norm": True,
            "rope_parameters": rope.yarn(partial_rotary_factor=1.0),
            "tie_word_embeddings": True,
        },
    ),
    _MAX | {"tied:intermediate_size": "every layer has experts"},
    EXPERTS_UNFUSED,
)
_LATENT = {
    "num_key_value_heads": 6,
    "kv_lora_rank": 18,
    "q_lora_rank": 22,
    "qk_nope_head_dim": 10,
    "qk_rope_head_dim": 6,
    "v_head_dim": 7,
}
DEEPSEEK_V3 = Family(
    "DeepseekV3ForCausalLM",
    sized(
        {**_ROUTED, **_LATENT},
        plain={"rope_parameters": rope.default()},
        direct={
            "q_lora_rank": None,
            "rope_interleave": False,
            "norm_topk_prob": False,
            "attention_bias": True,
            "n_shared_experts": 2,
            "rope_parameters": rope.linear(),
        },
        yarn={
            "attention_bias": True,
            "rope_parameters": rope.yarn(mscale=1.5, mscale_all_dim=0.8),
            "tie_word_embeddings": True,
        },
    ),
    _MAX,
    EXPERTS_UNFUSED,
)
