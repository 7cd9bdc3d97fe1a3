"""The families of decoders that the reference declares: model_type -> what to compute, and where the file keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.reference.model.families.keys import Keys
from harness.reference.model.families.llama import llama, mistral, qwen2
from harness.reference.model.families.qwen3 import qwen3, qwen3_5_moe_text, qwen3_5_text, qwen3_moe, qwen3_next
from harness.reference.model.tensors import Stored

FAMILIES: dict[str, Callable[[Keys], Stored]] = {
    "llama": llama,
    "qwen2": qwen2,
    "mistral": mistral,
    "qwen3": qwen3,
    "qwen3_moe": qwen3_moe,
    "qwen3_5_text": qwen3_5_text,
    "qwen3_5_moe_text": qwen3_5_moe_text,
    "qwen3_next": qwen3_next,
}


def declare(config: Mapping[str, Any]) -> Stored:
    """The decoder of a Hugging Face config.

    Raises: ValueError naming the model_type, or the key, what was found and what was expected.
    """
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise ValueError(f"config: found model_type {kind!r}, expected one of {', '.join(sorted(FAMILIES))}")
    return FAMILIES[kind](Keys(config))
