"""Faults that any kernel of an elementwise op may have, whichever op it is."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch

from harness.mutant import mutant, replace

BLOCK = 128


@mutant
def tail_left_unprocessed(baseline: Any) -> Any:
    """Elements beyond the last whole block are not computed (ELS-RD/kernl#73: lengths had to be whole blocks)."""
    ops = {name: getattr(baseline, name) for name in dir(baseline) if not name.startswith("_")}
    return replace(baseline, **{name: _tail_dropped(op) for name, op in ops.items() if isinstance(op, FunctionType)})


def _tail_dropped(op: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The elementwise op in whole blocks of 128 of the flat array; the rest keeps its input.

    Arrays shorter than a block are computed, as by a kernel with a path of its own for them.
    """

    def blocked(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        out = op(x, *rest)
        whole = x.numel() // BLOCK * BLOCK or x.numel()
        return torch.cat([out.flatten()[:whole], x.flatten()[whole:]]).reshape(x.shape)

    return blocked
