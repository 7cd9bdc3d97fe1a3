"""Decoders with one key of the config hard-coded, at a value that another model of the family has."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from harness.falsifiers.model.mutants.checkpoint.flip import declared, loaded
from harness.mutant import Inapplicable, mutant, replace
from harness.reference.model.families import declare
from harness.reference.model.tensors import Reader


def _hard_coded(baseline: Any, values: Mapping[str, Any]) -> Any:
    """The baseline that reads these values for those of the keys that a config has, on top or in its RoPE.

    Raises: Inapplicable, when it is loaded, if the family reads none of the keys, or one value of it alone.
    """

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> SimpleNamespace:
        if not _varies(config, values):
            raise Inapplicable(f"the family reads no other value of {' or '.join(values)}")
        return loaded(Reader(declared(_with(config, values)), weights), dtype)

    return replace(baseline, load=load, ARRAYS="numpy")


def _with(config: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The config with these values for those of the keys that it has, on top or in its RoPE; null stays null."""
    return {
        key: _with(value, values) if isinstance(value, Mapping) else value if value is None else values.get(key, value)
        for key, value in config.items()
    }


def _varies(config: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether the family declares something else where one of the keys has another value."""
    right = declared(config).decoder
    for key, value in values.items():
        for other in ("silu", "gelu") if isinstance(value, str) else (value, 2 * value):
            with contextlib.suppress(ValueError):
                if declare(_with(config, {key: other})).decoder != right:
                    return True
    return False


@mutant
def eps_hard_coded(baseline: Any) -> Any:
    """Norms built with 1e-5 whatever the config says (N1: ggml-org/llama.cpp#2373; system D2)."""
    return _hard_coded(baseline, {"rms_norm_eps": 1e-5, "layer_norm_epsilon": 1e-5})


@mutant
def theta_hard_coded(baseline: Any) -> Any:
    """theta is not read, the default 10000 stays (R1: vllm-project/vllm#1096)."""
    return _hard_coded(baseline, {"rope_theta": 10000.0})


@mutant
def window_hard_coded(baseline: Any) -> Any:
    """The window is the library's default. Synthetic: a kernel has it as a constant."""
    return _hard_coded(baseline, {"sliding_window": 4096})


@mutant
def activation_hard_coded(baseline: Any) -> Any:
    """SiLU whatever the config says. Synthetic: a fused kernel has it as a constant."""
    return _hard_coded(baseline, {"hidden_act": "silu", "hidden_activation": "silu", "mlp_hidden_act": "silu"})


@mutant
def multipliers_hard_coded(baseline: Any) -> Any:
    """Embedding, residual stream and logits have factor 1. Synthetic: most families have no such keys."""
    keys = ("embedding_multiplier", "residual_multiplier", "logits_scaling", "lm_head_multiplier")
    return _hard_coded(baseline, dict.fromkeys(keys, 1.0))


@mutant
def attention_scale_hard_coded(baseline: Any) -> Any:
    """The scores' factor is the library's default. Synthetic: kernels derive it from the head's width."""
    return _hard_coded(baseline, {"attention_multiplier": 1.0, "query_pre_attn_scalar": 256})


@mutant
def soft_caps_hard_coded(baseline: Any) -> Any:
    """Soft caps are those of Gemma 2 (A3: sgl-project/sglang#33915)."""
    return _hard_coded(baseline, {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0})


@mutant
def scaling_factor_hard_coded(baseline: Any) -> Any:
    """The factor of the RoPE scaling is a constant (R10: Blaizzy/mlx-vlm#1709)."""
    return _hard_coded(baseline, {"factor": 8.0, "attention_factor": 1.0})


@mutant
def chosen_experts_hard_coded(baseline: Any) -> Any:
    """The number of chosen experts is a constant. Synthetic: the key has several names."""
    return _hard_coded(baseline, {"num_experts_per_tok": 1})


@mutant
def routed_scale_hard_coded(baseline: Any) -> Any:
    """The factor of the routed experts is 1. Synthetic: it is the library's default."""
    return _hard_coded(baseline, {"routed_scaling_factor": 1.0})


@mutant
def changed_keys_refused(baseline: Any) -> Any:
    """A model is loaded under its own config alone. Synthetic: a check meant for typing mistakes refuses all else."""

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        raise ValueError("found another config, expected the model's own")

    return replace(baseline, load=load)
