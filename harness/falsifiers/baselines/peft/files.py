"""Read and write adapter folders with PEFT, for falsifiers, in NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from harness.falsifiers.baselines.peft import lora as peft_lora

Arrays = dict[str, np.ndarray]


def write(
    folder: str, config: Mapping[str, Any], lora: Mapping[str, tuple[np.ndarray, np.ndarray]], **options: Any
) -> None:
    """Write an adapter folder with PEFT's save_pretrained; options are r, lora_alpha and use_rslora."""
    pairs = {name: (torch.tensor(A), torch.tensor(B)) for name, (A, B) in lora.items()}
    peft_lora.save_adapter(folder, config, pairs, **options)


def read(folder: str, config: Mapping[str, Any]) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """{layer's full name: (A, B, scale)} as PEFT loads them. Raises: as `peft_lora.load_adapter`."""
    found = peft_lora.load_adapter(folder, config)
    return {name: (A.numpy(), B.numpy(), scale) for name, (A, B, scale) in found.items()}


def rewrite(path: str, edit: Callable[[Arrays], Arrays]) -> None:
    """Edit the tensors of a safetensors file."""
    save_file(edit(load_file(path)), path, metadata={"format": "pt"})
