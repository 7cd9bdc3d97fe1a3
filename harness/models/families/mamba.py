"""Decoders with Mamba 2 layers."""

from __future__ import annotations

from harness.models.families import rope
from harness.models.families.family import CONTEXT, SIZES, Family, layers, sized

_MAX = {"max_position_embeddings": CONTEXT}
_STEPS = [0.15, 0.9]
"""Both ends of the clamp are met by softplus of the steps that the weights give."""
_MAMBA2 = {key: SIZES[key] for key in ("vocab_size", "hidden_size", "num_hidden_layers", "tie_word_embeddings")}
_MAMBA2 |= {
    "num_heads": 8,
    "head_dim": 12,
    "expand": 2,
    "state_size": 7,
    "n_groups": 2,
    "conv_kernel": 4,
    "chunk_size": 8,
    "layer_norm_epsilon": 1e-5,
}
_CHUNKS = "the chunked scan gives the same numbers in exact arithmetic"
MAMBA2 = Family(
    "Mamba2ForCausalLM",
    {
        "plain": {**_MAMBA2},
        "clamped": {**_MAMBA2, "use_bias": True, "time_step_limit": _STEPS, "n_groups": 4, "chunk_size": 16},
        "tied": {
            **_MAMBA2,
            "n_groups": 1,
            "conv_kernel": 3,
            "use_conv_bias": False,
            "hidden_act": "gelu",
            "residual_in_fp32": False,
            "tie_word_embeddings": True,
        },
    },
    {"chunk_size": _CHUNKS, "residual_in_fp32": "all numbers are float64"},
)
_GRANITE = {
    "rms_norm_eps": 1e-5,
    "num_hidden_layers": 3,
    "layer_types": layers("lfl"),
    "intermediate_size": 16,
    "shared_intermediate_size": 18,
    "num_local_experts": 5,
    "num_experts_per_tok": 2,
    "mamba_n_heads": 8,
    "mamba_d_head": 12,
    "mamba_n_groups": 2,
    "mamba_d_state": 7,
    "mamba_chunk_size": 8,
    "embedding_multiplier": 3.0,
    "attention_multiplier": 0.3,
    "residual_multiplier": 0.6,
    "logits_scaling": 5.0,
    "rope_parameters": rope.default(),
}
_NO_ROPE = "position_embedding_type leaves positions out"
GRANITEMOEHYBRID = Family(
    "GraniteMoeHybridForCausalLM",
    sized(
        _GRANITE,
        plain={"position_embedding_type": "rope"},
        nope={
            "position_embedding_type": None,
            "attention_bias": True,
            "mamba_proj_bias": True,
            "mamba_n_groups": 4,
            "time_step_limit": _STEPS,
            "num_key_value_heads": 3,
        },
        dense={
            "position_embedding_type": "rope",
            "num_local_experts": 0,
            "mamba_conv_bias": False,
            "mamba_d_conv": 3,
            "rope_parameters": rope.yarn(),
            "tie_word_embeddings": True,
        },
    ),
    _MAX
    | {"mamba_chunk_size": _CHUNKS}
    | {f"nope:rope_parameters.{key}": _NO_ROPE for key in ("rope_type", "rope_theta")}
    | {f"dense:{key}": "there are no experts" for key in ("num_experts_per_tok", "intermediate_size")},
    "in block_sparse_moe the files have input_linear.weight for experts.gate_up_proj, output_linear.weight for "
    "experts.down_proj, router.layer.weight for router.weight",
)
_FALCON = {
    "rms_norm_eps": 1e-5,
    "mamba_d_ssm": 64,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 2,
    "mamba_d_state": 7,
    "mamba_chunk_size": 8,
    "embedding_multiplier": 1.4,
    "lm_head_multiplier": 0.3,
    "key_multiplier": 0.7,
    "mlp_multipliers": [1.3, 0.8],
    "ssm_multipliers": [0.7, 0.9, 1.2, 1.3, 0.8],
    "ssm_in_multiplier": 1.2,
    "ssm_out_multiplier": 0.8,
    "attention_in_multiplier": 0.9,
    "attention_out_multiplier": 1.3,
}
FALCON_H1 = Family(
    "FalconH1ForCausalLM",
    sized(
        _FALCON,
        plain={"rope_parameters": rope.default()},
        normed={
            "mamba_rms_norm": True,
            "mamba_norm_before_gate": True,
            "attention_bias": True,
            "mlp_bias": True,
            "mamba_proj_bias": True,
            "projectors_bias": True,
            "head_dim": 20,
            "time_step_limit": _STEPS,
            "rope_parameters": rope.linear(),
        },
        gated={
            "mamba_rms_norm": True,
            "mamba_norm_before_gate": False,
            "mamba_d_ssm": None,
            "mamba_d_head": 12,
            "mamba_conv_bias": False,
            "mamba_d_conv": 3,
            "num_key_value_heads": 3,
            "rope_parameters": rope.yarn(),
            "tie_word_embeddings": True,
        },
    ),
    _MAX | {"mamba_chunk_size": _CHUNKS},
)
_NEMOTRON = {
    "layer_norm_epsilon": 1e-5,
    "head_dim": 20,
    "ssm_state_size": 7,
    "mamba_num_heads": 8,
    "mamba_head_dim": 10,
    "n_groups": 2,
    "chunk_size": 8,
    "time_step_min": 0.2,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 16,
    "moe_shared_expert_intermediate_size": 18,
    "n_group": 4,
    "topk_group": 2,
    "routed_scaling_factor": 1.7,
}


def _blocks(pattern: str) -> list[str]:
    names = {"M": "linear_attention", "E": "moe", "*": "full_attention", "-": "mlp"}
    return [names[letter] for letter in pattern]


NEMOTRON_H = Family(
    "NemotronHForCausalLM",
    {
        name: {key: value for key, value in keys.items() if key != "num_hidden_layers"}
        for name, keys in sized(
            _NEMOTRON,
            plain={"layers_block_type": _blocks("M*-E")},
            latent={
                "layers_block_type": _blocks("ME*"),
                "moe_latent_size": 24,
                "mlp_bias": True,
                "use_bias": True,
                "norm_topk_prob": False,
                "n_groups": 4,
            },
            whole={
                "layers_block_type": _blocks("*-M"),
                "use_conv_bias": False,
                "conv_kernel": 3,
                "num_key_value_heads": 3,
                "mlp_hidden_act": "silu",
                "mamba_hidden_act": "gelu",
                "time_step_limit": _STEPS,
            },
        ).items()
    },
    {
        "max_position_embeddings": "there are no rotations",
        "chunk_size": _CHUNKS,
        "time_step_limit": "transformers clamps to (time_step_min, inf) instead",
        "tie_word_embeddings": "transformers never ties this head",
        "latent:intermediate_size": "there is no dense layer",
    },
    "model.* lies in the files as backbone.*, experts one by one as experts.<e>.{up,down}_proj.weight",
)
