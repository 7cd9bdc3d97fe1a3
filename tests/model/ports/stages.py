"""A port's mistake of each kind that the declaration has, by the name of its mutant, and the stage that shows it."""

from __future__ import annotations

from tests.model.ports.port import Mistake

LAYERS = "model.model.layers"
MIXER = f"{LAYERS}[0].mixer"
ATTENTION = {
    "window_one_less": Mistake("mistral", "layers.0.attn", then="model.config.sliding_window -= 1"),
    "window_one_more": Mistake("gemma2 window", "layers.0.attn", then="model.config.sliding_window += 1"),
    "window_off": Mistake("gpt_oss", "layers.0.attn", then="model.config.sliding_window = 4096"),
    "window_on_the_other_layers": Mistake(
        "gemma2",
        "layers.0.attn",
        "causal_mask_mapping[self.config.layer_types[i]]",
        "causal_mask_mapping[self.config.layer_types[(i + 1) % 2]]",
    ),
    "scores_not_capped": Mistake("gemma2", "layers.0.attn", "softcap=self.attn_logit_softcapping,", ""),
    "sinks_ignored": Mistake("gpt_oss", "layers.0.attn", "[attn_weights, sinks]", "[attn_weights, sinks - 99]"),
    "output_not_gated": Mistake(
        "qwen3_next", "layers.1.attn_gated", "attn_output * torch.sigmoid(gate)", "attn_output"
    ),
    "scores_scaled_by_the_width": Mistake(
        "gemma2", "layers.0.attn", "config.query_pre_attn_scalar**-0.5", "self.head_dim**-0.5"
    ),
    "scores_scaled_by_the_hidden_size": Mistake(
        "qwen3", "layers.0.attn", "self.head_dim**-0.5", "(config.hidden_size // config.num_attention_heads) ** -0.5"
    ),
    "queries_and_keys_not_normed": Mistake(
        "qwen3", "layers.0.q_norm", then=f"{LAYERS}[0].self_attn.q_norm = torch.nn.Identity()"
    ),
    "projection_biases_dropped": Mistake("qwen2", "layers.0.q_proj", then=f"{LAYERS}[0].self_attn.q_proj.bias.zero_()"),
    "output_bias_dropped": Mistake("gpt_oss", "layers.0.o_proj", then=f"{LAYERS}[0].self_attn.o_proj.bias.zero_()"),
    "heads_interleaved": Mistake(
        "llama",
        "layers.0.attn",
        "hidden_states[:, :, None, :, :].expand(batch, num_key_value_heads, n_rep, slen, head_dim)",
        "hidden_states[:, None].expand(batch, n_rep, num_key_value_heads, slen, head_dim)",
    ),
    "keys_not_scaled": Mistake("falcon_h1", "layers.0.k_proj", "config.key_multiplier", "1.0"),
    "mixer_factors_dropped": Mistake(
        "falcon_h1", "layers.0.q_proj", "hidden_states * self.attention_in_multiplier", "hidden_states"
    ),
    "norms_after_positions": Mistake(
        "gemma3_text",
        "layers.0.q_norm",
        "query_states = self.q_norm(query_states)\n        key_states = self.k_norm(key_states)\n\n"
        "        cos, sin = position_embeddings\n"
        "        query_states, key_states = apply_rotary_pos_emb(query_states, key_states, cos, sin)\n",
        "cos, sin = position_embeddings\n"
        "        query_states, key_states = apply_rotary_pos_emb(query_states, key_states, cos, sin)\n"
        "        query_states, key_states = self.q_norm(query_states), self.k_norm(key_states)\n",
    ),
    "key_bias_dropped": Mistake("qwen2", "layers.0.k_proj", then=f"{LAYERS}[0].self_attn.k_proj.bias.zero_()"),
}
POSITIONS = {
    "theta_of_the_library": Mistake("olmo2", "layers.0.attn", 'config.rope_parameters["rope_theta"]', "10000.0"),
    "theta_of_the_library_in_one_layer": Mistake(
        "qwen3",
        "layers.1.attn",
        "        cos, sin = position_embeddings",
        "        cos, sin = position_embeddings\n        if self.layer_idx == 1:\n"
        "            angles = 10000.0 ** (-torch.arange(0, self.head_dim, 2) / self.head_dim)\n"
        "            angles = torch.outer(torch.arange(cos.shape[1]), angles).repeat(1, 2)[None]\n"
        "            cos, sin = angles.cos().to(cos), angles.sin().to(sin)",
    ),
    "positions_of_the_other_kind": Mistake(
        "gemma3_text",
        "layers.0.attn",
        "position_embeddings[self.config.layer_types[i]]",
        "position_embeddings[self.config.layer_types[(i + 1) % 2]]",
    ),
    "pairs_in_the_other_layout": Mistake(
        "glm4", "layers.0.attn", "// 2].repeat_interleave(2, dim=-1)", "// 2].repeat(1, 1, 1, 2)"
    ),
    "whole_heads_rotated": Mistake(
        "glm4_moe", "layers.0.attn", 'config.rope_parameters.get("partial_rotary_factor", 1.0)', "1.0"
    ),
    "scaling_ignored": Mistake(
        "llama llama3", "layers.0.attn", 'self.config.rope_parameters["rope_type"]', '"default"'
    ),
    "scaling_factor_twice": Mistake(
        "mistral full", "layers.0.attn", "* self.attention_scaling", "* self.attention_scaling**2"
    ),
    "positions_everywhere": Mistake("smollm3", "layers.1.attn", "if self.use_rope:", "if True:"),
    "temperature_off": Mistake(
        "ministral3", "layers.0.attn", 'self.config.rope_parameters.get("llama_4_scaling_beta")', "0.0"
    ),
    "rotated_part_in_front": Mistake(
        "deepseek_v3",
        "layers.0.attn",
        "q_pass, q_rot = torch.split(q_states, [self.qk_nope_head_dim, self.qk_rope_head_dim], dim=-1)",
        "q_rot, q_pass = torch.split(q_states, [self.qk_rope_head_dim, self.qk_nope_head_dim], dim=-1)",
    ),
}
STREAM = {
    "eps_x10": Mistake(
        "ministral3", "layers.0.input_norm", "self.variance_epsilon = eps", "self.variance_epsilon = 10 * eps"
    ),
    "eps_x10_in_one_layer": Mistake(
        "phi3", "layers.1.post_norm", then=f"{LAYERS}[1].post_attention_layernorm.variance_epsilon *= 10"
    ),
    "eps_of_the_last_norm_x10": Mistake("qwen3_moe", "final_norm", then="model.model.norm.variance_epsilon *= 10"),
    "gains_without_their_one": Mistake(
        "gemma3_text", "layers.0.input_norm", "(1.0 + self.weight.float())", "self.weight.float()"
    ),
    "norms_behind_left_out": Mistake(
        "gemma2", "layers.0.mixer_norm", then=f"{LAYERS}[0].post_attention_layernorm = torch.nn.Identity()"
    ),
    "norms_behind_moved_to_the_front": Mistake(
        "olmo2",
        "layers.0.q_proj",
        "hidden_states=hidden_states,\n            attention_mask=attention_mask,",
        "hidden_states=self.post_attention_layernorm(hidden_states),\n            attention_mask=attention_mask,",
    ),
    "residual_not_scaled": Mistake(
        "granite", "layers.0.attn_residual", "hidden_states * self.residual_multiplier", "hidden_states"
    ),
    "feed_reads_the_block_s_input": Mistake(
        "llama",
        "layers.0.attn_residual",
        "        residual = hidden_states\n        hidden_states = self.post_attention_layernorm(hidden_states)",
        "        hidden_states, residual = self.post_attention_layernorm(residual), hidden_states",
    ),
    "layer_scalar_ignored": Mistake("gemma4_text", "layers.0.scaled", "hidden_states *= self.layer_scalar", "pass"),
    "embedding_not_scaled": Mistake("gemma3_text", "embed", "* self.embed_scale.to(self.weight.dtype)", ""),
    "logits_not_scaled": Mistake("granite", "logits", "logits / self.config.logits_scaling", "logits"),
    "logits_not_capped": Mistake("gemma2", "logits", "self.config.final_logit_softcapping is not None", "False"),
    "head_taken_from_the_embedding": Mistake(
        "olmo3", "logits", then="model.lm_head.weight.copy_(model.model.embed_tokens.weight)"
    ),
    "first_and_last_layer_swapped": Mistake(
        "mixtral", "layers.0.input_norm", then=f"{LAYERS} = torch.nn.ModuleList(list({LAYERS})[::-1])"
    ),
    "output_projection_transposed": Mistake(
        "smollm3",
        "layers.0.o_proj",
        then=f"{LAYERS}[0].self_attn.o_proj.weight.copy_({LAYERS}[0].self_attn.o_proj.weight.T.clone())",
    ),
    "two_layers_exchanged": Mistake(
        "qwen2",
        "layers.0.q_proj",
        then=f"{LAYERS}[0].self_attn.q_proj.weight.copy_({LAYERS}[1].self_attn.q_proj.weight)",
    ),
    "embedding_one_row_off": Mistake(
        "llama", "embed", then="model.model.embed_tokens.weight.copy_(model.model.embed_tokens.weight.roll(1, 0))"
    ),
    "gains_left_at_one": Mistake("qwen3", "layers.0.input_norm", then=f"{LAYERS}[0].input_layernorm.weight.fill_(1)"),
}
FEEDS = {
    "gelu_in_its_other_form": Mistake(
        "gemma2", "layers.0.mlp_act", "ACT2FN[config.hidden_activation]", 'ACT2FN["gelu"]'
    ),
    "activation_of_the_library": Mistake(
        "gemma4_text", "layers.0.mlp_act", "ACT2FN[config.hidden_activation]", 'ACT2FN["silu"]'
    ),
    "gate_and_up_swapped": Mistake(
        "phi3",
        "layers.0.mlp_act",
        "gate, up_states = up_states.chunk(2, dim=-1)",
        "up_states, gate = up_states.chunk(2, dim=-1)",
    ),
    "feed_biases_dropped": Mistake(
        "granite biased", "layers.0.gate_proj", then=f"{LAYERS}[0].mlp.gate_proj.bias.zero_()"
    ),
    "gate_not_clamped": Mistake("gpt_oss", "layers.0.experts", "gate.clamp(min=None, max=self.limit)", "gate"),
    "gate_without_alpha": Mistake("gpt_oss", "layers.0.experts", "gate * self.alpha", "gate"),
    "feed_factors_dropped": Mistake(
        "falcon_h1", "layers.0.mlp_act", "self.gate_proj(x) * self.gate_multiplier", "self.gate_proj(x)"
    ),
    "weights_not_renormalised": Mistake("qwen3_moe", "layers.0.router_weights", "if self.norm_topk_prob:", "if False:"),
    "softmax_over_the_chosen": Mistake(
        "qwen3_moe raw", "layers.3.router_weights", "if self.norm_topk_prob:", "if True:"
    ),
    "softmax_over_all": Mistake(
        "granitemoehybrid",
        "layers.0.router_weights",
        "torch.softmax(top_k_logits, dim=-1)",
        "torch.softmax(router_logits, dim=-1).gather(1, top_k_index)",
    ),
    "softmax_for_sigmoid": Mistake(
        "deepseek_v3", "layers.1.router_weights", "router_logits.sigmoid()", "router_logits.softmax(-1)"
    ),
    "one_expert_less": Mistake("mixtral", "layers.0.router_weights", then=f"{LAYERS}[0].mlp.gate.top_k -= 1"),
    "correction_ignored": Mistake(
        "glm4_moe", "layers.1.router_weights", "scores + self.e_score_correction_bias", "scores"
    ),
    "correction_in_the_weights": Mistake(
        "deepseek_v3",
        "layers.1.router_weights",
        "scores.gather(1, topk_indices)",
        "scores_for_choice.gather(1, topk_indices)",
    ),
    "groups_ignored": Mistake(
        "deepseek_v3", "layers.1.router_weights", "~score_mask.bool()", "score_mask.bool() & False"
    ),
    "routed_scale_dropped": Mistake(
        "glm4_moe", "layers.1.router_weights", "topk_weights * self.routed_scaling_factor", "topk_weights"
    ),
    "router_bias_dropped": Mistake("gpt_oss", "layers.0.router", then=f"{LAYERS}[0].mlp.router.bias.zero_()"),
    "shared_expert_left_out": Mistake(
        "glm4_moe", "layers.1.mlp_residual", "hidden_states + self.shared_experts(residuals)", "hidden_states"
    ),
    "shared_expert_not_gated": Mistake(
        "qwen3_5_moe_text",
        "layers.0.mlp_residual",
        "F.sigmoid(self.shared_expert_gate(hidden_states_reshaped)) * shared_expert_output",
        "shared_expert_output",
    ),
    "experts_shifted": Mistake(
        "mixtral",
        "layers.0.experts",
        then=f"{LAYERS}[0].mlp.experts.down_proj.copy_({LAYERS}[0].mlp.experts.down_proj.roll(1, 0))",
    ),
}
STATES = {
    "one_group_for_the_gated_norm": Mistake(
        "nemotron_h",
        "layers.0.mamba",
        "group_size=self.intermediate_size // self.n_groups",
        "group_size=self.intermediate_size",
    ),
    "gate_on_the_other_side_of_the_norm": Mistake(
        "falcon_h1 normed",
        "layers.0.mamba",
        "norm_before_gate=config.mamba_norm_before_gate",
        "norm_before_gate=not config.mamba_norm_before_gate",
    ),
    "steps_not_limited": Mistake(
        "mamba2 clamped", "layers.0.mamba", "dt = torch.clamp(dt, min=dt_limit[0], max=dt_limit[1])", "pass"
    ),
    "state_factors_dropped": Mistake(
        "falcon_h1", "layers.0.mamba", "projected_states * self.mup_vector", "projected_states"
    ),
    "skip_of_the_state_dropped": Mistake("granitemoehybrid", "layers.0.mamba", then=f"{LAYERS}[0].mamba.D.zero_()"),
    "convolution_bias_dropped": Mistake(
        "mamba2", "layers.0.mamba", then="model.backbone.layers[0].mixer.conv1d.bias.zero_()"
    ),
    "decay_of_a_delta_net_dropped": Mistake(
        "qwen3_5_text", "layers.0.delta_net", then=f"{LAYERS}[0].linear_attn.dt_bias.zero_()"
    ),
}
MISTAKES = {**ATTENTION, **POSITIONS, **STREAM, **FEEDS, **STATES}
