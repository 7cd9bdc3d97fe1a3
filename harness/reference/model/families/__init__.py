"""The families of decoders that the reference declares: model_type -> what to compute, and where the file keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.reference.model.families.experts import deepseek_v3, glm4_moe, gpt_oss, mixtral
from harness.reference.model.families.fused import glm4, granite, ministral3, olmo2, olmo3, phi3, smollm3
from harness.reference.model.families.gemma import gemma2, gemma3_text, gemma4_text
from harness.reference.model.families.keys import Keys
from harness.reference.model.families.llama import llama, mistral, qwen2
from harness.reference.model.families.qwen3 import qwen3, qwen3_5_moe_text, qwen3_5_text, qwen3_moe, qwen3_next
from harness.reference.model.families.state_space import falcon_h1, granitemoehybrid, mamba2, nemotron_h
from harness.reference.model.tensors import Stored

_LISTED: tuple[Callable[[Keys], Stored], ...] = (
    *(llama, mistral, ministral3, qwen2, qwen3, qwen3_moe, qwen3_5_text, qwen3_5_moe_text, qwen3_next),
    *(gemma2, gemma3_text, gemma4_text, phi3, smollm3, olmo2, olmo3, granite, granitemoehybrid, glm4, glm4_moe),
    *(gpt_oss, deepseek_v3, mixtral, falcon_h1, nemotron_h, mamba2),
)
FAMILIES: dict[str, Callable[[Keys], Stored]] = {family.__name__: family for family in _LISTED}
"""model_type -> the family that reads such a config."""


def declare(config: Mapping[str, Any]) -> Stored:
    """The decoder of a Hugging Face config.

    Raises: ValueError naming the model_type, or the key, what was found and what was expected.
    """
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise ValueError(f"config: found model_type {kind!r}, expected one of {', '.join(sorted(FAMILIES))}")
    return FAMILIES[kind](Keys(config))
