"""Small random models of every family, as folders that transformers reads."""

from __future__ import annotations

from harness.models.families import delta, dense, experts, mamba, sandwich
from harness.models.families.family import Family

FAMILIES: dict[str, Family] = {
    "llama": dense.LLAMA,
    "mistral": dense.MISTRAL,
    "ministral3": dense.MINISTRAL3,
    "qwen2": dense.QWEN2,
    "qwen3": dense.QWEN3,
    "qwen3_moe": experts.QWEN3_MOE,
    "qwen3_5_text": delta.QWEN3_5,
    "qwen3_5_moe_text": delta.QWEN3_5_MOE,
    "qwen3_next": delta.QWEN3_NEXT,
    "gemma2": sandwich.GEMMA2,
    "gemma3_text": sandwich.GEMMA3,
    "gemma4_text": sandwich.GEMMA4,
    "phi3": dense.PHI3,
    "smollm3": dense.SMOLLM3,
    "olmo2": sandwich.OLMO2,
    "olmo3": sandwich.OLMO3,
    "granite": dense.GRANITE,
    "granitemoehybrid": mamba.GRANITEMOEHYBRID,
    "glm4": sandwich.GLM4,
    "glm4_moe": experts.GLM4_MOE,
    "gpt_oss": experts.GPT_OSS,
    "deepseek_v3": experts.DEEPSEEK_V3,
    "mixtral": experts.MIXTRAL,
    "falcon_h1": mamba.FALCON_H1,
    "nemotron_h": mamba.NEMOTRON_H,
    "mamba2": mamba.MAMBA2,
    "starcoder2": dense.STARCODER2,
    "exaone4": sandwich.EXAONE4,
}
"""model_type -> its family."""
