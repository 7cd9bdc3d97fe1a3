"""Load adapters in PEFT's layout with checks; PEFT itself only warns of missing or extra modules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

ARRAYS = "torch"
PREFIX = "base_model.model."


def load_adapter(folder: str, config: Mapping[str, Any]) -> dict[str, tuple[torch.Tensor, torch.Tensor, float]]:
    """{layer: (A, B, scale)}, after comparing every tensor with the linear layers of transformers' own model.

    Raises: ValueError with one line naming the file, the key or the layer and both shapes.
    """
    about = _json(Path(folder) / "adapter_config.json")
    path = Path(folder) / "adapter_model.safetensors"
    try:
        tensors = load_file(str(path))
    except (SafetensorError, OSError) as problem:
        raise ValueError(f"{path}: {problem}") from None
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    linear = {name: m.weight.shape for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    targets, r, alpha = about["target_modules"], about["r"], about["lora_alpha"]
    if not isinstance(alpha, (int, float)):
        raise ValueError(f"lora_alpha is {alpha}")
    wanted = {name for name in linear if name.rsplit(".", 1)[-1] in targets}
    if unknown := [t for t in targets if not any(name.endswith(t) for name in linear)]:
        raise ValueError(f"target_modules {unknown} match no layer")
    keys = {f"{PREFIX}{name}.lora_{part}.weight": (name, part) for name in wanted for part in "AB"}
    for key in sorted(keys.keys() - tensors.keys()):
        raise ValueError(f"{key} is missing")
    for key in sorted(tensors.keys() - keys.keys()):
        raise ValueError(f"{key} is not one of target_modules")
    for key, (name, part) in sorted(keys.items()):
        rows, columns = linear[name]
        expected = (r, columns) if part == "A" else (rows, r)
        if tuple(tensors[key].shape) != expected:
            raise ValueError(f"{key} has shape {tuple(tensors[key].shape)}, expected {expected}")
    scale = alpha / (r**0.5 if about.get("use_rslora") else r)
    pair = {name: [tensors[f"{PREFIX}{name}.lora_{part}.weight"] for part in "AB"] for name in wanted}
    return {name: (A, B, scale) for name, (A, B) in pair.items()}


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from None
