"""An adapter made to fit the weight that it stands beside."""

from __future__ import annotations

import torch

Adapter = tuple[torch.Tensor, torch.Tensor, float]
"""(A (r, I), B (O, r), scale)."""


def fitting(weight: torch.Tensor, adapter: Adapter) -> Adapter:
    """The adapter in the weight's type and place. Raises: ValueError naming the shapes if it does not fit."""
    A, B, scale = adapter
    rows, columns = weight.shape
    if A.ndim != 2 or A.shape[1] != columns or tuple(B.shape) != (rows, A.shape[0]):
        raise ValueError(
            f"lora: found A {tuple(A.shape)} and B {tuple(B.shape)} for weight {(rows, columns)}, "
            f"expected A (r, {columns}) and B ({rows}, r)"
        )
    return A.to(weight), B.to(weight), scale
