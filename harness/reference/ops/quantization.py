"""Block quantisation in ggml's layouts: F16, BF16, Q8_0, Q4_0, in blocks of 32 along the row."""

from __future__ import annotations

import numpy as np

BLOCK = 32
BLOCK_BYTES = {"F32": 128, "F16": 64, "BF16": 64, "Q8_0": 34, "Q4_0": 18}
"""Bytes per block of 32 numbers."""


def quantize(x: np.ndarray, kind: str) -> np.ndarray:
    """Encode each row of x as the bytes that ggml stores.

    Q8_0: d = max|x| / 127, then 32 integers round(x / d), halves away from zero.
    Q4_0: d = x_m / -8, x_m the number of largest magnitude with its sign; q = floor(x / d + 8.5), at most 15;
          number j in the low half of byte j, number j + 16 in the high half.
    d is stored in float16; the division uses d before that rounding.

    Shapes: x (..., C) -> uint8 (..., C / 32 * BLOCK_BYTES[kind]).
    Raises: ValueError for an unknown kind, a row length that is not a multiple of 32, or a number that is not finite.
    Source: quantize_row_q4_0_ref and quantize_row_q8_0_ref of ggml-quants.c; gguf.quants.
    """
    _check(x.shape[-1], kind, BLOCK)
    if not np.isfinite(x).all():
        raise ValueError(f"quantize: found a number that is not finite in x {x.shape}, expected finite numbers")
    x = np.ascontiguousarray(x, dtype=np.float32)
    if kind == "F32":
        return x.view(np.uint8)
    if kind == "F16":
        return x.astype(np.float16).view(np.uint8)
    if kind == "BF16":
        return _bfloat16(x).view(np.uint8)
    blocks = x.reshape(*x.shape[:-1], -1, BLOCK)
    parts = _q8_0(blocks) if kind == "Q8_0" else _q4_0(blocks)
    return np.concatenate(parts, axis=-1).reshape(*x.shape[:-1], -1)


def dequantize(data: np.ndarray, kind: str) -> np.ndarray:
    """Decode the bytes to numbers: d * q for Q8_0, d * (q - 8) for Q4_0.

    Shapes: uint8 (..., bytes) -> float32 (..., C).
    Raises: ValueError for an unknown kind, or a row that does not hold a whole number of blocks.
    Source: dequantize_row_q4_0 and dequantize_row_q8_0 of ggml-quants.c.
    """
    _check(data.shape[-1], kind, BLOCK_BYTES.get(kind, 1))
    data = np.ascontiguousarray(data)
    if kind == "F32":
        return data.view(np.float32)
    if kind == "F16":
        return data.view(np.float16).astype(np.float32)
    if kind == "BF16":
        return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    blocks = data.reshape(*data.shape[:-1], -1, BLOCK_BYTES[kind])
    d = np.ascontiguousarray(blocks[..., :2]).view(np.float16).astype(np.float32)
    if kind == "Q8_0":
        q = np.ascontiguousarray(blocks[..., 2:]).view(np.int8).astype(np.float32)
    else:
        low, high = blocks[..., 2:] & 15, blocks[..., 2:] >> 4
        q = np.concatenate([low, high], axis=-1).astype(np.float32) - 8
    return np.asarray(d * q).reshape(*data.shape[:-1], -1)


def steps(x: np.ndarray, kind: str) -> np.ndarray:
    """Distance |d| between neighbouring quantised values in each number's block; rounding errs by about |d|/2 at most.

    Shapes: x (..., C) -> float64 (..., C).
    """
    blocks = np.asarray(x, np.float64).reshape(*x.shape[:-1], -1, BLOCK)
    largest = np.abs(blocks).max(axis=-1, keepdims=True) / {"Q8_0": 127, "Q4_0": 8}[kind]
    return np.broadcast_to(largest, blocks.shape).reshape(x.shape)


def open_bytes(x: np.ndarray, kind: str) -> np.ndarray:
    """Bytes of `quantize(x, "Q4_0")` that float32 arithmetic does not fix: a number within 4 ulp of where codes meet.

    ggml's `x * id + 8.5` is a fused multiply-add on one compiler and two roundings on another.
    Shapes: x (..., C) -> bool (..., C / 32 * 18); all false for other kinds.
    """
    if kind != "Q4_0":
        return np.zeros(quantize(x, kind).shape, bool)
    blocks = np.asarray(x, np.float32).reshape(*x.shape[:-1], -1, BLOCK)
    at = np.abs(blocks).argmax(axis=-1, keepdims=True)
    sums = blocks.astype(np.float64) * _inverse(np.take_along_axis(blocks, at, axis=-1) / np.float32(-8)) + 8.5
    near = np.abs(sums - np.rint(sums)) <= 4 * np.spacing(np.float32(8))
    codes = near[..., :16] | near[..., 16:]
    return np.concatenate([np.zeros((*codes.shape[:-1], 2), bool), codes], axis=-1).reshape(*x.shape[:-1], -1)


def round_activations(x: np.ndarray) -> np.ndarray:
    """Quantise each row to Q8_0 blocks and decode it again, as llama.cpp does to the input of a quantised product.

    llama.cpp multiplies Q8_0 and Q4_0 weights as integers, so it quantises the activations too.
    Shapes: x (..., C) -> float64 (..., C).
    Source: ggml_compute_forward_mul_mat of ggml-cpu: vec_dot_type of Q4_0 and Q8_0 is Q8_0.
    """
    return dequantize(quantize(x, "Q8_0"), "Q8_0").astype(np.float64)


def _q8_0(blocks: np.ndarray) -> list[np.ndarray]:
    d = np.abs(blocks).max(axis=-1, keepdims=True) / np.float32(127)
    scaled = blocks * _inverse(d)
    q = np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))
    return [d.astype(np.float16).view(np.uint8), q.astype(np.int8).view(np.uint8)]


def _q4_0(blocks: np.ndarray) -> list[np.ndarray]:
    at = np.abs(blocks).argmax(axis=-1, keepdims=True)
    d = np.take_along_axis(blocks, at, axis=-1) / np.float32(-8)
    # Compilers turn ggml's expression into a fused multiply-add; float64 computes it exactly and rounds it once.
    sums = (blocks.astype(np.float64) * _inverse(d) + 8.5).astype(np.float32)
    q = np.floor(sums).clip(0, 15).astype(np.uint8)
    return [d.astype(np.float16).view(np.uint8), q[..., :16] | q[..., 16:] << 4]


def _inverse(d: np.ndarray) -> np.ndarray:
    """1 / d in float32, or 0 if the block is all zeros."""
    with np.errstate(divide="ignore"):
        return np.where(d == 0, np.float32(0), np.float32(1) / d)


def _bfloat16(x: np.ndarray) -> np.ndarray:
    """The upper half of each float32, rounded to nearest, halves to even."""
    bits = x.view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)


def _check(length: int, kind: str, whole: int) -> None:
    if kind not in BLOCK_BYTES:
        raise ValueError(f"quantize: found kind {kind!r}, expected one of {', '.join(BLOCK_BYTES)}")
    if kind in ("Q8_0", "Q4_0") and (length % whole or not length):
        raise ValueError(f"quantize: found rows of {length}, expected a multiple of {whole} for {kind}")
