"""Falsifier of training targets and example weights, which must equal the reference's exactly."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.observation import Observation
from harness.reference.training.targets import WEIGHTS, example_weight, gate_targets, next_token_targets

MEASURES = {"shifted_twice": "1 if the targets are the tokens after next, as from two shifts, else 0"}
REPEATS = 6
END = 0
"""The token that ends a document; many tokenizers also pad with it."""


def training_targets(subject: Any, case: Case, *, rows: int, length: int, count: int) -> Observation:
    """Next tokens, gate labels and example weights, each equal to the reference's.

    Shapes: tokens (rows, length), each row ends with END, which occurs nowhere else; decisions (count,) from -1 to
            1.5, including both ends, -0.5 and 0; weights of every outcome at 0 to 5 repeats.
    """
    drawn = case.stream("tokens").integers(END + 1, 1000, (rows, length))
    tokens = case.array("tokens", np.where(np.arange(length) < length - 1, drawn, END))
    decisions = case.array("decisions", lambda: _decisions(case.stream("decisions"), count))
    kinds = [(outcome, repeats) for outcome in WEIGHTS for repeats in range(REPEATS)]
    weights = np.array([subject.example_weight(outcome, repeats) for outcome, repeats in kinds])
    shifted, once = subject.next_token_targets(tokens), next_token_targets(tokens)
    return Observation(
        next_tokens=(shifted, once),
        shifted_twice=int(np.array_equal(shifted, next_token_targets(once))),
        labels=(subject.gate_targets(decisions), gate_targets(decisions.astype(np.float64))),
        # Compared as whole numbers of halves, so that a weight of 6.5 does not pass as round-off.
        weights=((2 * weights).astype(np.int64), np.array([2 * int(example_weight(*kind)) for kind in kinds])),
    )


def _decisions(stream: np.random.Generator, count: int) -> np.ndarray:
    decisions = stream.uniform(-1, 1.5, count)
    decisions[:5] = [-1.0, 1.5, -0.5, 0.0, 1.0]
    return decisions
