"""Inputs on which a wrong choice of tokens shows: ties, maxima on block boundaries, padding above every token."""

from __future__ import annotations

import numpy as np

from harness.case import Case
from harness.dtypes import FORMATS
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.sampling import argmax_forward, top_k_forward

BLOCK = 128
DENORMAL = {"float64": 2.0**-1040, "float32": 2.0**-130, "bfloat16": 2.0**-130, "float16": 2.0**-20}
"""What makes numbers of about 1 too small to be normal, and different all the same."""
LEVELS = (0.0, -20.0, 0.0, -1000.0)
"""What is added to whole rows: a maximum that starts at 0 is found in rows below it."""


def top_k(case: Case, variant: int = 0, *, rows: int, vocab: int, k: int, faint: bool = True) -> Call:
    """Row i has its largest value beside a boundary of 128, and three of its next largest are equal.

    Variant 1 is other data of the same shape. Shapes: logits (rows, vocab).
    """
    name = f"logits{variant}"
    return Call(
        (case.array(name, lambda: _logits(case.stream(name), rows, vocab, case.dtype, faint)), k), top_k_forward
    )


def argmax(case: Case, variant: int = 0, *, rows: int, vocab: int, padding: int = 0, faint: bool = True) -> Call:
    """As `top_k`, with every second row's maximum twice, and `padding` columns above every token's logit.

    Variant 1 is other data of the same shape. Shapes: logits (rows, vocab + padding).
    """
    name = f"logits{variant}"

    def build() -> np.ndarray:
        stream = case.stream(name)
        logits = _logits(stream, rows, vocab, case.dtype, faint)
        if vocab > 1:
            top = logits[::2].argmax(axis=-1)
            again = (top + 1 + stream.integers(0, vocab - 1, top.shape)) % vocab
            logits[np.arange(0, rows, 2), again] = logits[np.arange(0, rows, 2), top]
        return np.concatenate([logits, 20 + stream.standard_normal((rows, padding))], axis=-1)

    return Call((case.array(name, build),), argmax_forward, {"vocab_size": vocab if padding else None})


def _logits(stream: np.random.Generator, rows: int, vocab: int, dtype: str, faint: bool) -> np.ndarray:
    """Rows at one of LEVELS in turn, the first one drawn; the maximum beside a boundary, three equal ones after it.

    Of ten rows one is denormal if `faint`, and in one all but two entries are -inf. In odd rows a column before the
    maximum is one unit of the dtype below it, or one of the next lower precision.
    """
    logits = stream.standard_normal((rows, vocab))
    boundaries = [at for edge in range(BLOCK, vocab + 1, BLOCK) for at in (edge - 1, edge) if at < vocab]
    for i, row in enumerate(logits):
        row[stream.choice(vocab, min(3, vocab), replace=False)] = 6.0
        if boundaries:
            row[boundaries[i % len(boundaries)]] = 8.0
    first = int(stream.integers(len(LEVELS)))
    logits += np.array(LEVELS)[(first + np.arange(rows)) % len(LEVELS)][:, None]
    for i, row in enumerate(logits[4::5]):
        if i % 2:
            order = stream.permutation(vocab)
            row[order[order != row.argmax()][: vocab - 2]] = -np.inf
        elif faint:
            row *= DENORMAL[dtype]
    for i, row in enumerate(logits[1::2]):
        top = int(row.argmax())
        bits = FORMATS[dtype].lower_mantissa if i % 2 else FORMATS[dtype].mantissa
        if top and np.isfinite(row[top]):
            row[stream.integers(top)] = row[top] - abs(row[top]) * 2.0**-bits
    return logits
