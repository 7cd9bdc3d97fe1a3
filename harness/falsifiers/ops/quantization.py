"""Falsifiers of block quantisation: the bytes of rows, and a trained model whose matrices are in 4 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.checkpoint import read_checkpoint
from harness.falsifiers.inputs.text_windows import held_out_windows
from harness.observation import Observation
from harness.reference.model.decoder import decoder_logits
from harness.reference.ops.losses import cross_entropy_forward
from harness.reference.ops.quantization import BLOCK, dequantize, quantize, steps

MEASURES = {
    "beyond_half_step": "largest distance of a number from what its bytes stand for, less half a step of its block "
    "(less a whole step where Q4_0's codes end: 8 steps opposite the largest number), in steps",
    "unpacked_matrices": "number of matrices that are not packed, or not to the length the format says",
    "vectors_changed": "number of vectors that do not keep their float32 bytes",
    "logits_shift": "relative L2 distance of the quantised model's logits from the float64 model's",
    "nats_lost": "held-out loss of the quantised model less that of the float64 model, nats per token",
}
SMALLEST = 2.0**-14
"""The least normal float16: a step below it cannot be stored to 11 bits, and no bound is claimed."""


def rows(subject: Any, case: Case, *, kind: str, rows: int, columns: int, values: str) -> Observation:
    """One matrix to bytes, bytes to numbers, and numbers to the same bytes again.

    Shapes: x (rows, columns) -> bytes (rows, columns / 32 * bytes of a block), numbers (rows, columns).
    Units:  values normal, ties (every second number half-way between two codes), or edges (blocks of zeros,
            of one value, of equal maxima with both signs, and of numbers whose step float16 cannot hold).
    """
    x = case.array("x", lambda: _matrix(case, (rows, columns), values, kind).astype(np.float32))
    want = case.once(quantize, x, kind)
    numbers = case.once(dequantize, want, kind)
    got = subject.quantize(x, kind)
    back = dequantize(got, kind) if got.shape == want.shape and got.dtype == np.uint8 else np.full_like(x, np.nan)
    return Observation(
        bytes=(got, want),
        numbers=(_raw(subject.dequantize(want, kind)), _raw(numbers)),
        again=(subject.quantize(numbers, kind), case.once(quantize, numbers, kind)),
        beyond_half_step=_beyond(back, x, kind),
    )


def trained(
    subject: Any, case: Case, *, weights: str, corpus: str, kind: str, windows: int, length: int
) -> Observation:
    """A trained model whose matrices are packed: each within half a step, its logits and loss moved by a little.

    Shapes: `windows` held-out windows of `length` tokens; logits (windows, length, V) against the float64
            reference on the numbers that the bytes stand for.
    """
    config, tensors = read_checkpoint(str(weights), case.dtype)
    text = case.array("ids", lambda: held_out_windows(str(weights), corpus, 1, length + 1)[0][:windows])
    tokens, targets = text[:, :-1], text[:, 1:]
    packed = subject.quantize_weights(tensors, kind)
    numbers = {name: _numbers(packed[name], w, kind) for name, w in tensors.items()}
    logits = subject.load_quantized(config, packed, kind).logits(tokens)
    exact = case.once(decoder_logits, config, tensors, tokens)
    moved = np.asarray(logits, np.float64)
    matrices = {name: w for name, w in tensors.items() if w.ndim == 2}
    return Observation(
        logits=(logits, decoder_logits(config, numbers, tokens)),
        unpacked_matrices=sum(not np.isfinite(numbers[name]).all() for name in matrices),
        vectors_changed=sum(_raw(packed[n]).tobytes() != _raw(w).tobytes() for n, w in tensors.items() if w.ndim != 2),
        logits_shift=float(np.linalg.norm(moved - exact) / np.linalg.norm(exact)),
        nats_lost=_loss(moved, targets) - _loss(exact, targets),
        # np.max, not max: a NaN must come through.
        beyond_half_step=np.max([_beyond(numbers[name], w, kind) for name, w in matrices.items()]),
    )


def _matrix(case: Case, shape: tuple[int, int], values: str, kind: str) -> np.ndarray:
    stream = case.stream("values")
    x = stream.standard_normal(shape) * 0.02
    if values == "ties":
        # The largest number of each block is 8 (or 127) units with a negative sign, so the others are codes and halves.
        units = 8 if kind == "Q4_0" else 127
        x = stream.integers(2 - 2 * units, 2 * units - 1, shape) / 2
        x[:, ::BLOCK] = -units
    if values == "edges":
        blocks = x.reshape(-1, BLOCK)
        blocks[0::5] = 0
        blocks[1::5] = 0.25
        blocks[2::5] = np.where(np.arange(BLOCK) % 2, 3.0, -3.0)
        blocks[3::5] *= 1e-9
        blocks[4::5] *= 1e6
    return np.asarray(x)


def _beyond(back: np.ndarray, x: np.ndarray, kind: str) -> float:
    step = steps(x, kind)
    held = step > SMALLEST
    blocks = x.reshape(*x.shape[:-1], -1, BLOCK)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=-1, keepdims=True), axis=-1)
    opposite = np.broadcast_to(-np.sign(largest), blocks.shape).reshape(x.shape) * x
    allowed = np.where((opposite > 7.5 * step) & (kind == "Q4_0"), 1.0, 0.5)
    return float(
        np.max(np.abs(back.astype(np.float64) - x) / np.where(held, step, 1) - allowed, where=held, initial=-1)
    )


def _numbers(packed: np.ndarray, w: np.ndarray, kind: str) -> np.ndarray:
    """What a packed tensor stands for; NaN where it is not packed as it should be."""
    if w.ndim != 2:
        return np.asarray(packed)
    want = (w.shape[0], quantize(w[:1], kind).shape[-1])
    if packed.dtype != np.uint8 or packed.shape != want:
        return np.full(w.shape, np.nan)
    return dequantize(packed, kind)


def _loss(logits: np.ndarray, targets: np.ndarray) -> float:
    return float(cross_entropy_forward(logits, targets)[0])


def _raw(x: np.ndarray) -> np.ndarray:
    """Bytes of float32 numbers, so that -0.0 is not taken for 0.0."""
    return np.ascontiguousarray(np.asarray(x, np.float32)).view(np.uint8)
