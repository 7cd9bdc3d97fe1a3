"""The one fault that every blocked kernel shares: what follows the last whole block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

BLOCK = 128


def tail_dropped(op: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The elementwise op in whole blocks of 128 of the flat array; the rest keeps its input.

    Arrays shorter than a block are computed, as by a kernel with a path of its own for them.
    """

    def blocked(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        out = op(x, *rest)
        whole = x.numel() // BLOCK * BLOCK or x.numel()
        return torch.cat([out.flatten()[:whole], x.flatten()[whole:]]).reshape(x.shape)

    return blocked
