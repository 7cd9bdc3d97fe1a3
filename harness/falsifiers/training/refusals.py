"""Falsifier of a loss's refusals: bad input raises a one-line error that contains the wrong value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.case import Case
from harness.observation import Observation

MEASURES = {
    "taken": "bad inputs that raise no error",
    "unnamed": "bad inputs without a one-line error that contains the wrong value",
}
REFUSALS = (ValueError, IndexError, TypeError, RuntimeError, AssertionError)


def losses_refuse(subject: Any, case: Case, *, count: int, vocab: int) -> Observation:
    """Targets out of range, negative targets other than -100, and too few targets, labels or weights.

    A correct call comes first, so that a loss that raises on everything is an error and not a pass.
    Shapes: logits (count, vocab) and targets (count,); logits, labels and weights (count,).
    """
    cross_entropy, weighted_bce = subject.cross_entropy, subject.weighted_bce
    logits, targets = case.normal("logits", (count, vocab)), case.integers("targets", (count,), 0, vocab)
    gate, labels, weights = case.normal("gate", (count,)), case.uniform("labels", (count,)), case.uniform("w", (count,))
    cross_entropy(logits, targets)
    weighted_bce(gate, labels, weights)
    answers = [
        _answer(cross_entropy, str(vocab), logits, _with_last(targets, vocab)),
        _answer(cross_entropy, str(vocab + 5), logits, _with_last(targets, vocab + 5)),
        _answer(cross_entropy, "-1", logits, _with_last(targets, -1)),
        _answer(cross_entropy, str(count - 2), logits, targets[:-2]),
        _answer(weighted_bce, str(count - 2), gate, labels[:-2], weights),
        _answer(weighted_bce, str(count - 2), gate, labels, weights[:-2]),
    ]
    return Observation(
        taken=sum(text is None for text, _ in answers),
        unnamed=sum(text is None or value not in text or "\n" in text for text, value in answers),
    )


def _with_last(targets: np.ndarray, value: int) -> np.ndarray:
    wrong = targets.copy()
    wrong[-1] = value
    return wrong


def _answer(function: Callable[..., Any], value: str, *args: np.ndarray) -> tuple[str | None, str]:
    """The error's text, None without one, and the value that it must contain."""
    try:
        function(*args)
    except REFUSALS as refusal:
        return str(refusal), value
    return None, value
