"""Save and load adapters in PEFT's layout, with `harness.formats.peft_adapter`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from harness.formats import peft_adapter

ARRAYS = "torch"


def save_adapter(
    folder: str,
    config: Mapping[str, Any],
    lora: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
    *,
    r: int,
    lora_alpha: float,
    use_rslora: bool,
) -> None:
    """Write adapter_config.json and adapter_model.safetensors. Units: lora maps a layer's full name to (A, B)."""
    pairs = {name: (A.detach().cpu().numpy(), B.detach().cpu().numpy()) for name, (A, B) in lora.items()}
    peft_adapter.save(folder, config, pairs, r=r, lora_alpha=lora_alpha, use_rslora=use_rslora)


def load_adapter(folder: str, config: Mapping[str, Any]) -> dict[str, tuple[torch.Tensor, torch.Tensor, float]]:
    """{layer's full name: (A, B, scale)}. Raises: ValueError with one line naming the file, key or layer."""
    found = peft_adapter.load(folder, config)
    return {name: (torch.from_numpy(A), torch.from_numpy(B), scale) for name, (A, B, scale) in found.items()}
