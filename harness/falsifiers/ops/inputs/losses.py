"""Inputs on which a wrong loss shows: rows of unequal counts, labels favoured or outside [0, 1], logits far from 0."""

from __future__ import annotations

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.losses import cross_entropy_forward, weighted_bce_forward
from harness.reference.training.targets import LEAST_DECISION, MOST_DECISION, example_weight

IGNORED = -100
FAVOUR = 4.0
RAMP = 100.0
KINDS = (
    ("right", 0),
    ("missed", 0),
    ("false_positive", 0),
    ("false_positive", 1),
    ("false_positive", 2),
    ("false_positive", 3),
)
"""(outcome of a gate, repeats) of each weight that examples are given."""


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
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
) -> Call:
    """Logits of standard deviation std around level, raised by 4 at the label, less so from row to row.

    With `ignored`, row i starts with a prompt of labels ignore_index that grows with i, and every seventh label is
    that; at least one label per row counts. Variant 1 is other data of the same shape.
    Shapes: logits (rows, length, vocab), targets (rows, length).
    """
    name = f"targets{variant}"
    targets = case.array(name, lambda: _labels(case.stream(name), (rows, length), vocab, ignored, ignore_index))
    logits = case.array(
        f"logits{variant}", lambda: _logits(case.stream(f"logits{variant}"), targets, vocab, std, level)
    )
    options = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
    return Call((logits, targets), cross_entropy_forward, options)


def weighted_bce(case: Case, variant: int = 0, *, count: int, std: float = 3.0) -> Call:
    """Gate decisions from -1 to 1.5 as labels, and weights 1, 2, 4, 6, 7, 8 that grow with the logit.

    Weights that go with the losses: the mean of products is not the product of means.
    Variant 1 is other data of the same shape.
    Shapes: logits, labels and weights (count,).
    """
    labels = case.array(f"labels{variant}", lambda: _decisions(case.stream(f"labels{variant}"), count))
    logits = case.normal(f"logits{variant}", (count,), std=std)
    known = np.array([example_weight(*kind) for kind in KINDS])
    ranks = np.argsort(np.argsort(np.abs(logits)))
    weights = case.array(f"weights{variant}", known[ranks * len(known) // count])
    return Call((logits, labels, weights), weighted_bce_forward)


def _labels(
    stream: np.random.Generator, shape: tuple[int, int], vocab: int, ignored: bool, ignore_index: int
) -> np.ndarray:
    labels = stream.integers(0, vocab, shape)
    if ignored:
        for i, row in enumerate(labels):
            row[: i * (shape[1] - 1) // shape[0]] = ignore_index
            row[6:-1:7] = ignore_index
    return labels


def _logits(stream: np.random.Generator, targets: np.ndarray, vocab: int, std: float, level: float) -> np.ndarray:
    logits = level + std * stream.standard_normal((*targets.shape, vocab))
    if level:  # in every second token the largest logits come last: a maximum of the first block overflows
        logits[:, 1::2] += np.linspace(0, RAMP, vocab)
    # Unequal loss from row to row, so that a mean of row means is not the mean.
    favour = np.linspace(FAVOUR, 0, len(targets))[:, None] * np.ones(targets.shape)
    at = np.where(targets < 0, 0, targets)[..., None]
    np.put_along_axis(logits, at, np.take_along_axis(logits, at, -1) + favour[..., None], -1)
    return logits


def _decisions(stream: np.random.Generator, count: int) -> np.ndarray:
    decisions = stream.uniform(LEAST_DECISION, MOST_DECISION, count)
    decisions[: min(count, 5)] = [-0.5, 1.5, -1.0, 0.0, 1.0][: min(count, 5)]
    return decisions
