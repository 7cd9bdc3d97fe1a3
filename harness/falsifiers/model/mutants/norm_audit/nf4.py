"""Known-wrong readers of NF4 weights: the baseline fed edited codes or scales."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from harness.mutant import mutant, replace

Weights = dict[str, torch.Tensor]


@mutant
def nibbles_swapped(baseline: Any) -> Any:
    """The low four bits of a byte are taken for its first element.
    Synthetic: GGUF's Q4_0 has the low half first and NF4 the high one, so a reader of one misreads the other."""
    return _reading(baseline, lambda codes, absmax: (codes >> 4 | codes << 4, absmax))


@mutant
def absmax_of_the_next_block(baseline: Any) -> Any:
    """Block scales off by one block (the index is rounded up).
    Synthetic: a ceiling division for the number of blocks is also used for a block's index."""
    return _reading(baseline, lambda codes, absmax: (codes, absmax.roll(-1)))


@mutant
def one_absmax_per_tensor(baseline: Any) -> Any:
    """The tensor's largest scale for every block, as a per-tensor format has it.
    Synthetic: int8 code with one scale for the whole tensor is near at hand, and shapes do not object."""
    return _reading(baseline, lambda codes, absmax: (codes, absmax.max().expand_as(absmax)))


@mutant
def code_mirrored(baseline: Any) -> Any:
    """The sixteen values are taken for symmetric: negative codes read as minus the positive ones' neighbours.
    Synthetic: NF4's table looks symmetric, and half of it is easily derived from the other half."""

    def mirror(codes: torch.Tensor, absmax: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return 255 - codes, -absmax

    return _reading(baseline, mirror)


def _reading(baseline: Any, edit: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]) -> Any:
    def load_nf4(config: dict[str, Any], weights: Weights, *, dtype: str, device: str) -> Any:
        wrong = dict(weights)
        for name in [name for name in weights if f"{name}.absmax" in weights]:
            wrong[name], wrong[f"{name}.absmax"] = edit(weights[name], weights[f"{name}.absmax"])
        return baseline.load_nf4(config, wrong, dtype=dtype, device=device)

    return replace(baseline, load_nf4=load_nf4)
