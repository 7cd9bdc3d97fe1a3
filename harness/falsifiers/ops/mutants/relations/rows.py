"""Faults between the rows of any op: each row alone is computed right, or each row of a small batch."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace

TILE = 32


@mutant
def answers_zeros(baseline: Any) -> Any:
    """The kernel is not launched and the zeroed output is returned. Synthetic: any relation between answers holds for
    an implementation that always answers the same."""
    return after_every_op(baseline, lambda out: torch.zeros_like(out))


@mutant
def rows_left_sorted(baseline: Any) -> Any:
    """Rows are sorted, as batches are by length, and not put back. Synthetic: every row's values are right, in another
    row, and a test of one row or of sums over rows stays green."""
    return after_every_op(baseline, _sorted)


@mutant
def rows_beyond_a_tile_repeat(baseline: Any) -> Any:
    """Row 33 gets the answer of row 1. Synthetic: a row index kept in 5 bits is right for every batch up to 32."""
    return after_every_op(baseline, lambda out: out[torch.arange(len(out)) % TILE] if out.ndim else out)


@mutant
def lone_row_cut_short(baseline: Any) -> Any:
    """A batch of one takes a path of its own, which leaves the last column unwritten. Synthetic: a matrix-vector
    kernel beside the matrix kernel is a second implementation, which tests on batches do not reach."""

    def cut(out: Tensor) -> Tensor:
        if out.ndim and len(out) == 1:
            out = out.clone()
            out[..., -1] = 0
        return out

    return after_every_op(baseline, cut)


def _sorted(out: Tensor) -> Tensor:
    if not out.ndim:
        return out
    return out[out.flatten(1).double().sum(dim=1).argsort()] if out.ndim > 1 else out.sort().values


def after_every_op(baseline: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The baseline with `change` applied to what each of its functions returns."""
    ops = {name: getattr(baseline, name) for name in dir(baseline) if not name.startswith("_")}
    return replace(baseline, **{name: _then(op, change) for name, op in ops.items() if isinstance(op, FunctionType)})


def _then(op: Callable[..., Tensor], change: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def changed(*args: Any, **options: Any) -> Tensor:
        return change(op(*args, **options))

    return changed
