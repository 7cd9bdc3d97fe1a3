"""A port's constant for each kind of key that mutants hard-code, by the mutant's name, and how its line begins."""

from __future__ import annotations

from tests.model.ports.port import Mistake

KEYS = {
    "eps_hard_coded": Mistake("olmo3", "rms_norm_eps: 1e-05 to", fixed=("rms_norm_eps",)),
    "theta_hard_coded": Mistake("qwen3_next", "rope_parameters.rope_theta: 300.0 to", fixed=("rope_theta",)),
    "window_hard_coded": Mistake("mistral", "sliding_window: 5 to 6", fixed=("sliding_window",)),
    "activation_hard_coded": Mistake("qwen2", "hidden_act: 'silu' to 'gelu'", fixed=("hidden_act",)),
    "multipliers_hard_coded": Mistake("granite", "residual_multiplier: ", fixed=("residual_multiplier",)),
    "attention_scale_hard_coded": Mistake("gemma3_text", "query_pre_attn_scalar: ", fixed=("query_pre_attn_scalar",)),
    "soft_caps_hard_coded": Mistake("gemma2", "attn_logit_softcapping: ", fixed=("attn_logit_softcapping",)),
    "scaling_factor_hard_coded": Mistake("llama llama3", "rope_parameters.factor: 4.0 to", fixed=("factor",)),
    "chosen_experts_hard_coded": Mistake("qwen3_moe", "num_experts_per_tok: ", fixed=("num_experts_per_tok",)),
    "routed_scale_hard_coded": Mistake("glm4_moe", "routed_scaling_factor: ", fixed=("routed_scaling_factor",)),
}
