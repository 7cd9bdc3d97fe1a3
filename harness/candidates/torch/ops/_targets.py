"""Which targets a loss counts."""

from __future__ import annotations

import torch


def counted_targets(logits: torch.Tensor, targets: torch.Tensor, ignore_index: int = -100) -> torch.Tensor:
    """Which targets count: those that are not ignore_index.

    Shapes: logits (..., V), targets (...) -> (...), bool.
    Raises: ValueError on another count, or a target outside [0, V): on CUDA torch would end the process there.
    """
    if targets.shape != logits.shape[:-1]:
        found, expected = tuple(targets.shape), tuple(logits.shape[:-1])
        raise ValueError(f"cross_entropy: found targets {found}, expected {expected} for logits (..., V)")
    counted = targets != ignore_index
    wrong = targets[counted & ((targets < 0) | (targets >= logits.shape[-1]))]
    if wrong.numel():
        raise ValueError(f"cross_entropy: found target {wrong[0].item()}, expected 0 to {logits.shape[-1] - 1}")
    return counted
