"""Targets and example weights that were derived wrong (systems C7)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace

END, IGNORED = 0, -100


@mutant
def sign_as_weight(baseline: Any) -> Any:
    """A decision of -0.5 becomes the label 0.5: its sign is taken for the weight's (systems C7)."""
    return replace(baseline, gate_targets=lambda decisions: baseline.gate_targets(decisions.abs()))


@mutant
def decisions_rescaled(baseline: Any) -> Any:
    """-1 ... 1.5 is stretched onto 0 ... 1, where it is to be clamped.
    Synthetic: rescaling is the other usual way to bring values into a range."""
    return replace(baseline, gate_targets=lambda decisions: (decisions + 1) / 2.5)


@mutant
def decisions_not_clamped(baseline: Any) -> Any:
    """Labels of -1 and 1.5 go into the loss as they are (pytorch/pytorch#87373)."""
    return replace(baseline, gate_targets=lambda decisions: decisions.clone())


@mutant
def decisions_made_hard(baseline: Any) -> Any:
    """Labels are 0 or 1, and a decision of 0.4 is lost.
    Synthetic: binary losses are mostly fed hard labels, and a comparison with 0.5 makes them."""
    return replace(baseline, gate_targets=lambda decisions: (decisions >= 0.5).to(decisions.dtype))


@mutant
def targets_not_shifted(baseline: Any) -> Any:
    """Each place predicts its own token: the loss falls to 0 (huggingface/transformers#27517)."""
    return replace(baseline, next_token_targets=lambda tokens: tokens.clone())


@mutant
def targets_shifted_twice(baseline: Any) -> Any:
    """Each place predicts the token after next (systems D6)."""

    def next_token_targets(tokens: Tensor) -> Tensor:
        return baseline.next_token_targets(baseline.next_token_targets(tokens))

    return replace(baseline, next_token_targets=next_token_targets)


@mutant
def last_target_wraps(baseline: Any) -> Any:
    """torch.roll: the last place predicts the first token (verl-project/verl#6475)."""
    return replace(baseline, next_token_targets=lambda tokens: torch.roll(tokens, -1, dims=-1))


@mutant
def end_masked_as_padding(baseline: Any) -> Any:
    """The padding id is the end-of-sequence id, so no end is ever learnt (T4: huggingface/transformers#23530)."""

    def next_token_targets(tokens: Tensor) -> Tensor:
        targets = baseline.next_token_targets(tokens)
        return targets.where(targets != END, IGNORED)

    return replace(baseline, next_token_targets=next_token_targets)


@mutant
def repeats_ignored(baseline: Any) -> Any:
    """A false positive weighs 4 however often it was made (systems C7)."""
    return replace(baseline, example_weight=lambda outcome, repeats=0: baseline.example_weight(outcome, 0))


@mutant
def repeats_one_late(baseline: Any) -> Any:
    """The first repetition still weighs 4.
    Synthetic: the count is raised after it was read, so that the first repetition counts as none."""
    return replace(
        baseline, example_weight=lambda outcome, repeats=0: baseline.example_weight(outcome, max(repeats - 1, 0))
    )


@mutant
def repeats_unbounded(baseline: Any) -> Any:
    """The weight grows past 8, by 1 for each repetition.
    Synthetic: the growth is written first, and the bound is a second expression around it."""

    def example_weight(outcome: str, repeats: int = 0) -> float:
        weight: float = baseline.example_weight(outcome, repeats)
        return weight + max(repeats - 3, 0) if outcome == "false_positive" else weight

    return replace(baseline, example_weight=example_weight)


@mutant
def misses_raised_by_repeats(baseline: Any) -> Any:
    """A miss that comes again is raised like a false positive.
    Synthetic: repetitions are counted before the kind of error is looked at."""

    def example_weight(outcome: str, repeats: int = 0) -> float:
        kind = "false_positive" if outcome == "missed" and repeats else outcome
        weight: float = baseline.example_weight(kind, repeats)
        return weight

    return replace(baseline, example_weight=example_weight)


@mutant
def misses_and_false_positives_swapped(baseline: Any) -> Any:
    """A miss weighs 4 and a false positive 2.
    Synthetic: the two kinds differ by a sign in one comparison, and each reader names them otherwise."""
    other = {"missed": "false_positive", "false_positive": "missed", "right": "right"}
    return replace(baseline, example_weight=lambda outcome, repeats=0: baseline.example_weight(other[outcome], repeats))
