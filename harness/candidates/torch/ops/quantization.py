"""Weights in ggml's blocks of 32: Q8_0 and Q4_0, and F16 and BF16 beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from harness.candidates.torch.model.decoder import Decoder, load
from harness.candidates.torch.training.endpoint import load_checkpoint

BLOCK = 32
NUMBERS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
BYTES = {"Q8_0": 34, "Q4_0": 18}


def quantize(x: torch.Tensor, kind: str) -> torch.Tensor:
    """Each row's bytes as llama.cpp reads them. Shapes: x (..., C) -> uint8 (..., bytes).

    Raises: ValueError for an unknown kind, rows that are no whole number of blocks, or numbers that are not finite.
    """
    _check(kind, x.shape[-1], BLOCK)
    if not torch.isfinite(x).all():
        raise ValueError(f"quantize: found a number that is not finite in x {tuple(x.shape)}, expected finite numbers")
    x = x.float().contiguous()
    if kind in NUMBERS:
        return x.to(NUMBERS[kind]).view(torch.uint8)
    blocks = x.unflatten(-1, (-1, BLOCK))
    largest = blocks.gather(-1, blocks.abs().argmax(dim=-1, keepdim=True))
    if kind == "Q8_0":
        d = largest.abs() / 127
        scaled = blocks * _inverse(d)
        codes = (scaled.sign() * (scaled.abs() + 0.5).floor()).to(torch.int8).view(torch.uint8)
    else:
        d = largest / -8
        # Product and sum rounded once, as a fused multiply-add does, whatever this machine has.
        q = (blocks.double() * _inverse(d) + 8.5).float().floor().clamp(0, 15).to(torch.uint8)
        codes = q[..., : BLOCK // 2] | (q[..., BLOCK // 2 :] << 4)
    return torch.cat([d.half().view(torch.uint8), codes], dim=-1).flatten(-2)


def dequantize(data: torch.Tensor, kind: str) -> torch.Tensor:
    """The numbers that bytes stand for. Shapes: uint8 (..., bytes) -> float32 (..., C). Raises: ValueError."""
    _check(kind, data.shape[-1], BYTES.get(kind, 1))
    data = data.contiguous()
    if kind in NUMBERS:
        return data.view(NUMBERS[kind]).float()
    blocks = data.unflatten(-1, (-1, BYTES[kind]))
    d = blocks[..., :2].contiguous().view(torch.float16).float()
    codes = blocks[..., 2:].contiguous()
    q = codes.view(torch.int8).float() if kind == "Q8_0" else torch.cat([codes & 15, codes >> 4], dim=-1).float() - 8
    return (d * q).flatten(-2)


def quantize_weights(weights: Mapping[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor]:
    """Every matrix in blocks, uint8; vectors (norm gains, biases) in float32, as GGUF files keep them."""
    return {name: quantize(w, kind) if w.ndim == 2 else w.float() for name, w in weights.items()}


def load_quantized(config: Mapping[str, Any], packed: Mapping[str, Any], kind: str, *, dtype: str, device: str) -> Any:
    """A model on packed weights: each matrix is unpacked once, on loading."""
    unpacked = {name: dequantize(w, kind) if w.dtype == torch.uint8 else w for name, w in packed.items()}
    model: Decoder = load(config, unpacked, dtype=dtype, device=device)
    return model


def load_quantized_checkpoint(folder: str, kind: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """(config, packed weights) of a saved checkpoint: the 4-bit path starts from the file, from nothing else."""
    config, weights = load_checkpoint(folder)
    return config, quantize_weights(weights, kind)


def _inverse(d: torch.Tensor) -> torch.Tensor:
    return torch.where(d == 0, torch.zeros_like(d), 1 / d)


def _check(kind: str, length: int, whole: int) -> None:
    if kind not in NUMBERS and kind not in BYTES:
        raise ValueError(f"quantize: found kind {kind!r}, expected one of {', '.join([*NUMBERS, *BYTES])}")
    if kind in BYTES and (length % whole or not length):
        raise ValueError(f"quantize: found rows of {length}, expected a multiple of {whole} for {kind}")
