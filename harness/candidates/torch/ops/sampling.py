"""Choosing token ids in eager torch, CPU or CUDA; of equal logits the lowest id wins."""

from __future__ import annotations

import torch

ARRAYS = "torch"


def top_k(logits: torch.Tensor, k: int) -> torch.Tensor:
    """Ids of the k largest, largest first, one after the other. Shapes: logits (..., V) -> (..., k), int64."""
    left, chosen = logits.clone(), []
    free = torch.ones_like(logits, dtype=torch.bool)
    for _ in range(k):
        left = left.masked_fill(~free, float("-inf"))
        chosen.append(_first(free & (left == left.amax(dim=-1, keepdim=True))))
        free = free.scatter(-1, chosen[-1][..., None], False)
    return torch.stack(chosen, dim=-1)


def argmax(logits: torch.Tensor, vocab_size: int | None = None) -> torch.Tensor:
    """Id of the largest among the first vocab_size. Shapes: logits (..., V) -> (...), int64."""
    real = logits[..., :vocab_size]
    return _first(real == real.amax(dim=-1, keepdim=True))


def _first(which: torch.Tensor) -> torch.Tensor:
    """Lowest index that is True. Shapes: (..., V) -> (...)."""
    ids = torch.arange(which.shape[-1], device=which.device)
    return torch.where(which, ids, which.shape[-1]).amin(dim=-1)
