"""Inputs on which a wrong loss shows: rows of unequal counts, labels that the logits favour, logits far from 0."""

from __future__ import annotations

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.losses import cross_entropy_forward

IGNORED = -100
FAVOUR = 4.0


def cross_entropy(
    case: Case,
    variant: int = 0,
    *,
    rows: int,
    length: int,
    vocab: int,
    std: float = 2.0,
    level: float = 0.0,
    ignored: bool = True,
) -> Call:
    """Logits of standard deviation std around level, raised by 4 at the label, less so from row to row.

    With `ignored`, row i starts with a prompt of labels -100 that grows with i, and every seventh label is -100;
    at least one label per row counts. Variant 1 is other data of the same shape.
    Shapes: logits (rows, length, vocab), targets (rows, length).
    """
    name = f"targets{variant}"
    targets = case.array(name, lambda: _labels(case.stream(name), rows, length, vocab, ignored))
    logits = case.array(
        f"logits{variant}", lambda: _logits(case.stream(f"logits{variant}"), targets, vocab, std, level)
    )
    return Call((logits, targets), cross_entropy_forward)


def _labels(stream: np.random.Generator, rows: int, length: int, vocab: int, ignored: bool) -> np.ndarray:
    labels = stream.integers(0, vocab, (rows, length))
    if ignored:
        for i, row in enumerate(labels):
            row[: i * (length - 1) // rows] = IGNORED
            row[6:-1:7] = IGNORED
    return labels


def _logits(stream: np.random.Generator, targets: np.ndarray, vocab: int, std: float, level: float) -> np.ndarray:
    logits = level + std * stream.standard_normal((*targets.shape, vocab))
    # Unequal loss from row to row, so that a mean of row means is not the mean.
    favour = np.linspace(FAVOUR, 0, len(targets))[:, None] * np.ones(targets.shape)
    at = np.where(targets == IGNORED, 0, targets)[..., None]
    np.put_along_axis(logits, at, np.take_along_axis(logits, at, -1) + favour[..., None], -1)
    return logits
