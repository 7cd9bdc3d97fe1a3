"""torch's losses on the CPU, where torch checks its inputs; on CUDA a target out of range ends the process."""

from __future__ import annotations

import torch

from harness.falsifiers.baselines import torch_ops

ARRAYS = "torch"


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """torch.nn.functional.cross_entropy. Raises: IndexError or ValueError, as torch does."""
    return torch_ops.cross_entropy(logits.cpu(), targets.cpu())


def weighted_bce(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """torch.nn.functional.binary_cross_entropy_with_logits. Raises: ValueError or RuntimeError, as torch does."""
    return torch_ops.weighted_bce(logits.cpu(), labels.cpu(), weights.cpu())
