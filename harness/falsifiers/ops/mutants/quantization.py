"""Known-wrong block quantisation: scale, zero point, rounding, the order of codes, and blocks that are none (A7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace

BLOCK = 32
BYTES = {"Q8_0": 34, "Q4_0": 18}


@mutant
def scale_as_reciprocal(baseline: Any) -> Any:
    """1 / d is stored where d is meant (system A7)."""
    return _scales(baseline, lambda d: torch.where(d == 0, d, 1 / d))


@mutant
def scale_in_bfloat16(baseline: Any) -> Any:
    """The scale keeps 8 bits on its way to float16 (system A7)."""
    return _scales(baseline, lambda d: d.bfloat16())


@mutant
def scales_transposed(baseline: Any) -> Any:
    """The scales (rows, blocks) are laid out as (blocks, rows) (Q2: vllm-project/vllm#50204)."""

    def turned(d: Tensor) -> Tensor:
        if d.ndim < 2 or 1 in d.shape[-3:-1] or d.ndim != 3:
            raise Inapplicable("one row or one block: their scales have one order")
        return d[..., 0].T.reshape(d.shape)

    return _scales(baseline, turned)


@mutant
def wrong_zero_point(baseline: Any) -> Any:
    """Codes are read with a zero of 7 where it is 8 (system A7)."""

    def dequantize(data: Tensor, kind: str) -> Tensor:
        _only("Q4_0", kind)
        d, _ = _blocks(data, kind)
        return baseline.dequantize(data, kind) + d.view(torch.float16).float().repeat_interleave(BLOCK, -1).flatten(-2)

    return _using(baseline, dequantize=dequantize)


@mutant
def truncated(baseline: Any) -> Any:
    """Codes are truncated where they are rounded (system A7)."""
    return _codes(baseline, lambda scaled, kind: scaled.trunc() if kind == "Q8_0" else (scaled + 8).floor())


@mutant
def halves_to_even(baseline: Any) -> Any:
    """Halves go to the even code, as torch.round has it; ggml's go away from zero, Q4_0's upwards (system A7)."""
    return _codes(baseline, lambda scaled, kind: scaled.round() if kind == "Q8_0" else (scaled + 8).round())


@mutant
def unsigned_maximum(baseline: Any) -> Any:
    """d = max|x| / -8 without the sign of the largest: a largest number above 0 has no code (system A7)."""

    def quantize(x: Tensor, kind: str) -> Tensor:
        _only("Q4_0", kind)
        blocks = x.float().unflatten(-1, (-1, BLOCK))
        d = blocks.abs().amax(dim=-1, keepdim=True) / -8
        return _packed(d, ((blocks.double() * _inverse(d)) + 8.5).floor().clamp(0, 15), kind)

    return _using(baseline, quantize=quantize)


@mutant
def divided_by_the_stored_scale(baseline: Any) -> Any:
    """Numbers are divided by the rounded scale: other codes near the halves than llama.cpp's own (system A7)."""

    def quantize(x: Tensor, kind: str) -> Tensor:
        data = baseline.quantize(x, kind)
        stored = _blocks(data, kind)[0].view(torch.float16).float()
        return _packed(stored, _rounded(x.float().unflatten(-1, (-1, BLOCK)).double() * _inverse(stored), kind), kind)

    return _using(baseline, quantize=quantize)


@mutant
def neighbours_in_a_byte(baseline: Any) -> Any:
    """Numbers 2 j and 2 j + 1 share a byte; ggml pairs j with j + 16 (system A7)."""

    def quantize(x: Tensor, kind: str) -> Tensor:
        _only("Q4_0", kind)
        blocks = x.unflatten(-1, (-1, BLOCK))
        return baseline.quantize(torch.cat([blocks[..., 0::2], blocks[..., 1::2]], dim=-1).flatten(-2), kind)

    return _using(baseline, quantize=quantize)


@mutant
def nibbles_swapped(baseline: Any) -> Any:
    """The high four bits are taken for the first half (system A7)."""

    def dequantize(data: Tensor, kind: str) -> Tensor:
        _only("Q4_0", kind)
        d, codes = _blocks(data, kind)
        return baseline.dequantize(torch.cat([d, codes >> 4 | codes << 4], dim=-1).flatten(-2), kind)

    return _using(baseline, dequantize=dequantize)


@mutant
def blocks_across_rows(baseline: Any) -> Any:
    """Blocks run down the columns (system A7; bug catalogue Q3)."""

    def quantize(x: Tensor, kind: str) -> Tensor:
        if x.ndim != 2 or 1 in x.shape:
            raise Inapplicable("one row: blocks have one direction")
        return baseline.quantize(x.T.reshape(x.shape), kind)

    return _using(baseline, quantize=quantize)


@mutant
def left_in_float32(baseline: Any) -> Any:
    """The matrices are never packed, and the 4-bit run is the float32 one (systems A6 and A7)."""
    return replace(baseline, quantize_weights=lambda weights, kind: dict(weights))


@mutant
def vectors_in_float16(baseline: Any) -> Any:
    """Norm gains and biases lose bits with the matrices; GGUF files keep them in float32 (system A7)."""

    def quantize_weights(weights: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
        packed = baseline.quantize_weights(weights, kind)
        return {n: w if w.dtype == torch.uint8 else w.half().float() for n, w in packed.items()}

    return replace(baseline, quantize_weights=quantize_weights)


@mutant
def packed_weights_ignored(baseline: Any) -> Any:
    """The 4-bit model answers with the float weights it was packed from (system A6)."""
    kept: dict[str, Tensor] = {}

    def quantize_weights(weights: dict[str, Tensor], kind: str) -> Any:
        kept.update(weights)
        return baseline.quantize_weights(weights, kind)

    def load_quantized(config: Any, packed: Any, kind: str, *, dtype: str, device: str) -> Any:
        return baseline.load(config, kept, dtype=dtype, device=device)

    return replace(baseline, quantize_weights=quantize_weights, load_quantized=load_quantized)


@mutant
def eight_bits_for_four(baseline: Any) -> Any:
    """Q8_0 is written where Q4_0 is asked for: more than right, and not the file that ships (system A7)."""

    def quantize_weights(weights: dict[str, Tensor], kind: str) -> Any:
        return baseline.quantize_weights(weights, "Q8_0")

    def load_quantized(config: Any, packed: Any, kind: str, *, dtype: str, device: str) -> Any:
        return baseline.load_quantized(config, packed, "Q8_0", dtype=dtype, device=device)

    return replace(baseline, quantize_weights=quantize_weights, load_quantized=load_quantized)


def _using(baseline: Any, **functions: Callable[..., Tensor]) -> Any:
    """The baseline whose whole path, weights and models too, goes through the functions given."""
    quantize, dequantize = (functions.get(name, getattr(baseline, name)) for name in ("quantize", "dequantize"))

    def quantize_weights(weights: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
        return {name: quantize(w, kind) if w.ndim == 2 else w.float() for name, w in weights.items()}

    def load_quantized(config: Any, packed: dict[str, Tensor], kind: str, *, dtype: str, device: str) -> Any:
        unpacked = {n: dequantize(w, kind) if w.dtype == torch.uint8 else w for n, w in packed.items()}
        return baseline.load(config, unpacked, dtype=dtype, device=device)

    return replace(baseline, quantize_weights=quantize_weights, load_quantized=load_quantized, **functions)


def _scales(baseline: Any, edit: Callable[[Tensor], Tensor]) -> Any:
    """The baseline's bytes with their scales edited as float32. Shapes: (..., blocks, 1) -> the same."""

    def quantize(x: Tensor, kind: str) -> Tensor:
        d, codes = _blocks(baseline.quantize(x, kind), kind)
        edited = edit(d.view(torch.float16).float()).half()
        return torch.cat([edited.contiguous().view(torch.uint8), codes], dim=-1).flatten(-2)

    return _using(baseline, quantize=quantize)


def _codes(baseline: Any, rounded: Callable[[Tensor, str], Tensor]) -> Any:
    """The right scales, and codes rounded as `rounded(x / d, kind)` has it."""

    def quantize(x: Tensor, kind: str) -> Tensor:
        blocks = x.float().unflatten(-1, (-1, BLOCK))
        largest = blocks.gather(-1, blocks.abs().argmax(dim=-1, keepdim=True))
        d = largest.abs() / 127 if kind == "Q8_0" else largest / -8
        return _packed(d, rounded(blocks.double() * _inverse(d), kind), kind)

    return _using(baseline, quantize=quantize)


def _rounded(scaled: Tensor, kind: str) -> Tensor:
    return scaled.sign() * (scaled.abs() + 0.5).floor() if kind == "Q8_0" else (scaled + 8.5).floor()


def _packed(d: Tensor, codes: Tensor, kind: str) -> Tensor:
    if kind == "Q8_0":
        body = codes.clamp(-127, 127).to(torch.int8).view(torch.uint8)
    else:
        q = codes.clamp(0, 15).to(torch.uint8)
        body = q[..., :16] | q[..., 16:] << 4
    return torch.cat([d.half().contiguous().view(torch.uint8), body], dim=-1).flatten(-2)


def _blocks(data: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """(scales (..., blocks, 2), codes (..., blocks, bytes)), both uint8."""
    blocks = data.unflatten(-1, (-1, BYTES[kind]))
    return blocks[..., :2].contiguous(), blocks[..., 2:]


def _inverse(d: Tensor) -> Tensor:
    return torch.where(d == 0, torch.zeros_like(d), 1 / d)


def _only(wanted: str, kind: str) -> None:
    if kind != wanted:
        raise Inapplicable(f"{kind} has no such thing; {wanted} has")
