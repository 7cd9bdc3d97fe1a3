"""Block quantisation by the gguf package, and transformers' models on the dequantised weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType, quants

from harness.falsifiers.baselines import autograd_endpoint
from harness.falsifiers.baselines.autograd_endpoint import (
    ARRAYS,
    load,
    load_checkpoint,
    save_checkpoint,
    train_endpoint,
)

__all__ = [
    "ARRAYS",
    "dequantize",
    "load",
    "load_checkpoint",
    "load_quantized",
    "load_quantized_checkpoint",
    "quantize",
    "quantize_weights",
    "save_checkpoint",
    "train_endpoint",
]


def quantize(x: torch.Tensor, kind: str) -> torch.Tensor:
    """Shapes: x (..., C) -> uint8 (..., bytes). Source: gguf.quants.quantize."""
    # gguf divides by zero for zero blocks, on purpose, and tiny scales underflow.
    with np.errstate(divide="ignore", over="ignore"):
        data = quants.quantize(x.float().cpu().numpy(), GGMLQuantizationType[kind])
    return torch.from_numpy(np.ascontiguousarray(data).view(np.uint8)).to(x.device)


def dequantize(data: torch.Tensor, kind: str) -> torch.Tensor:
    """Shapes: uint8 (..., bytes) -> float32 (..., C). Source: gguf.quants.dequantize."""
    found = quants.dequantize(data.cpu().numpy(), GGMLQuantizationType[kind])
    return torch.from_numpy(np.ascontiguousarray(found)).to(data.device)


def quantize_weights(weights: Mapping[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor]:
    """Quantise matrices and convert vectors to float32, as llama.cpp's converter does."""
    return {name: quantize(w, kind) if w.ndim == 2 else w.float() for name, w in weights.items()}


def load_quantized(config: Mapping[str, Any], packed: Mapping[str, Any], kind: str, *, dtype: str, device: str) -> Any:
    """transformers' decoder with the dequantised matrices."""
    unpacked = {name: dequantize(w, kind) if w.dtype == torch.uint8 else w for name, w in packed.items()}
    return autograd_endpoint.load(config, unpacked, dtype=dtype, device=device)


def load_quantized_checkpoint(folder: str, kind: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """(config, quantised weights) of a folder."""
    config, weights = load_checkpoint(folder)
    return config, quantize_weights(weights, kind)
