"""Targets and example weights by torch's own pad, clamp and bucketize."""

from __future__ import annotations

import torch
import torch.nn.functional as F

ARRAYS = "torch"
OUTCOMES = ["right", "missed", "false_positive"]


def next_token_targets(tokens: torch.Tensor) -> torch.Tensor:
    """Shift labels as transformers' ForCausalLMLoss does: pad with -100, then drop the first."""
    return F.pad(tokens, (0, 1), value=-100)[..., 1:].contiguous()


def gate_targets(decisions: torch.Tensor) -> torch.Tensor:
    """torch.clamp."""
    return torch.clamp(decisions, 0, 1)


def example_weight(outcome: str, repeats: int = 0) -> float:
    """Look the weight up in a table: the row is the outcome, the column torch.bucketize of the repeats."""
    table = torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0], [4.0, 6.0, 7.0, 8.0]])
    return float(table[OUTCOMES.index(outcome), torch.bucketize(repeats, torch.tensor([0, 1, 2]))])
