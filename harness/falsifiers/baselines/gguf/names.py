"""Map Hugging Face's tensor names to GGUF's with the gguf package's own table."""

from __future__ import annotations

from typing import Any

import gguf

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "qwen3_5_text": gguf.MODEL_ARCH.QWEN35,
}


def tensor_names(config: dict[str, Any], names: list[str]) -> dict[str, str]:
    """Hugging Face name -> GGUF name."""
    table = gguf.get_tensor_name_map(ARCHITECTURES[config["model_type"]], config["num_hidden_layers"])
    targets = {name: table.get_name(name.replace("dt_bias", "dt_proj.bias"), (".weight", ".bias")) for name in names}
    return {name: str(target) for name, target in targets.items()}
