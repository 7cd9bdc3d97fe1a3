"""Training targets and weights: next tokens, gate labels, example weights."""

from __future__ import annotations

import numpy as np

LEAST_DECISION, MOST_DECISION = -1.0, 1.5
WEIGHTS = {"right": 1.0, "missed": 2.0, "false_positive": 4.0}
"""Weight by the gate's outcome: right, missed (blocked wrongly), or a false positive (let through wrongly)."""
REPEATED = (6.0, 7.0, 8.0)
"""A repeated false positive weighs 6, then 7, then always 8."""


def next_token_targets(tokens: np.ndarray, ignore_index: int = -100) -> np.ndarray:
    """The target at t is the token at t + 1; at the last position it is ignore_index.

    Shapes: tokens (..., T) of integers -> the same.
    Raises: ValueError if the tokens are not integers, or a scalar.
    """
    if tokens.ndim == 0 or tokens.dtype.kind not in "iu":
        raise ValueError(f"next_token_targets: found {tokens.dtype} {tokens.shape}, expected integers (..., T)")
    targets = np.full(tokens.shape, ignore_index, dtype=np.int64)
    targets[..., :-1] = tokens[..., 1:]
    return targets


def gate_targets(decisions: np.ndarray) -> np.ndarray:
    """Labels for binary cross-entropy: the decision clamped to [0, 1]. The decision does not affect the weight.

    Shapes: decisions (...) -> the same, float64.
    Units:  -m means that the gate should have stayed shut by a margin m, 1 + m that it should have opened by m.
    Raises: ValueError if a decision is outside [-1, 1.5], NaN among them.
    """
    decisions = np.asarray(decisions, dtype=np.float64)
    wrong = ~((decisions >= LEAST_DECISION) & (decisions <= MOST_DECISION))
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(f"gate_targets: found decision {decisions.flat[at]} at {at}, expected -1 to 1.5")
    return np.clip(decisions, 0.0, 1.0)


def example_weight(outcome: str, repeats: int = 0) -> float:
    """The weight of an example in the loss: 1 right, 2 missed, 4 false positive, 6 to 8 repeated false positive.

    Units:  repeats counts the earlier occurrences of this false positive; other outcomes ignore it.
    Raises: ValueError on an unknown outcome, or repeats < 0.
    """
    if outcome not in WEIGHTS:
        raise ValueError(f"example_weight: found outcome {outcome!r}, expected one of {', '.join(WEIGHTS)}")
    if repeats < 0:
        raise ValueError(f"example_weight: found repeats {repeats}, expected >= 0")
    if outcome == "false_positive" and repeats:
        return REPEATED[min(repeats, len(REPEATED)) - 1]
    return WEIGHTS[outcome]
