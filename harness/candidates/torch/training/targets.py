"""Training targets and example weights in eager torch."""

from __future__ import annotations

import torch

ARRAYS = "torch"
IGNORED = -100


def next_token_targets(tokens: torch.Tensor) -> torch.Tensor:
    """The token after each; -100 after the last. Shapes: tokens (..., T) -> the same."""
    end = torch.full_like(tokens[..., :1], IGNORED)
    return torch.cat([tokens[..., 1:], end], dim=-1)


def gate_targets(decisions: torch.Tensor) -> torch.Tensor:
    """Decisions clamped to [0, 1].

    Shapes: decisions (...) -> the same.
    Raises: ValueError outside [-1, 1.5].
    """
    outside = decisions[~((decisions >= -1) & (decisions <= 1.5))]
    if outside.numel():
        raise ValueError(f"gate_targets: found decision {outside[0].item()}, expected -1 to 1.5")
    return decisions.clamp(0, 1)


def example_weight(outcome: str, repeats: int = 0) -> float:
    """1 for `right`, 2 for `missed`, 4 for `false_positive`; 6, 7, then 8 for a repeated false positive.

    Raises: ValueError on an unknown outcome, or repeats < 0.
    """
    weights = {"right": 1.0, "missed": 2.0, "false_positive": 4.0}
    if outcome not in weights or repeats < 0:
        raise ValueError(f"example_weight: found {outcome!r}, repeats {repeats}, expected one of {', '.join(weights)}")
    return min(5.0 + repeats, 8.0) if outcome == "false_positive" and repeats else weights[outcome]
