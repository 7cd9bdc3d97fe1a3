"""What an example is trained towards, and how much it counts: next tokens, gate decisions, example weights."""

from __future__ import annotations

import numpy as np

LEAST_DECISION, MOST_DECISION = -1.0, 1.5
WEIGHTS = {"right": 1.0, "missed": 2.0, "false_positive": 4.0}
"""By what the gate did: decided right, missed what it should have let through, let through what it should not."""
REPEATED = (6.0, 7.0, 8.0)
"""A false positive that comes again weighs 6, then 7, then 8 from there on."""


def next_token_targets(tokens: np.ndarray, ignore_index: int = -100) -> np.ndarray:
    """The target at t is the token at t + 1; the last place has none and is ignore_index.

    Shapes: tokens (..., T) of integers -> the same.
    Raises: ValueError if the tokens are no integers, or there is no axis of places.
    """
    if tokens.ndim == 0 or tokens.dtype.kind not in "iu":
        raise ValueError(f"next_token_targets: found {tokens.dtype} {tokens.shape}, expected integers (..., T)")
    targets = np.full(tokens.shape, ignore_index, dtype=np.int64)
    targets[..., :-1] = tokens[..., 1:]
    return targets


def gate_targets(decisions: np.ndarray) -> np.ndarray:
    """Labels of binary cross-entropy: the decision clamped to [0, 1]. Its sign and size say nothing of its weight.

    Shapes: decisions (...) -> the same, float64.
    Units:  below 0 the gate should have stayed shut by that margin, above 1 it should have opened by it.
    Raises: ValueError if a decision is outside [-1, 1.5], NaN among them.
    """
    decisions = np.asarray(decisions, dtype=np.float64)
    wrong = ~((decisions >= LEAST_DECISION) & (decisions <= MOST_DECISION))
    if wrong.any():
        at = int(wrong.argmax())
        raise ValueError(f"gate_targets: found decision {decisions.flat[at]} at {at}, expected -1 to 1.5")
    return np.clip(decisions, 0.0, 1.0)


def example_weight(outcome: str, repeats: int = 0) -> float:
    """How much an example counts in the loss: 1 right, 2 missed, 4 false positive, 6 to 8 one that was made before.

    Units:  repeats is how often this false positive was made before; other outcomes are not raised by it.
    Raises: ValueError on an unknown outcome, or repeats < 0.
    """
    if outcome not in WEIGHTS:
        raise ValueError(f"example_weight: found outcome {outcome!r}, expected one of {', '.join(WEIGHTS)}")
    if repeats < 0:
        raise ValueError(f"example_weight: found repeats {repeats}, expected >= 0")
    if outcome == "false_positive" and repeats:
        return REPEATED[min(repeats, len(REPEATED)) - 1]
    return WEIGHTS[outcome]
