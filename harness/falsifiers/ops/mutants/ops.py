"""Faults that any kernel may have, whichever op it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any

import torch

from harness.mutant import mutant, replace

BLOCK = 128
GRID = 65_536


@mutant
def tail_left_unprocessed(baseline: Any) -> Any:
    """Elements beyond the last whole block are not computed (ELS-RD/kernl#73: lengths had to be whole blocks)."""
    return _each_op(baseline, _tail_dropped)


@mutant
def memory_read_as_it_lies(baseline: Any) -> Any:
    """Every array is taken for a contiguous one: a view's strides are not read (vllm-project/vllm#3324)."""

    def reading(op: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        return wraps(op)(lambda *args, **options: op(*map(_as_it_lies, args), **options))

    return _each_op(baseline, reading)


@mutant
def grid_of_65536(baseline: Any) -> Any:
    """An element's number is kept in 16 bits, and elements beyond 65,536 keep their input.

    Synthetic: a grid of 256 blocks of 256 threads without a loop is the first kernel that everyone writes.
    """

    def limited(op: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def first(x: torch.Tensor, *rest: Any) -> torch.Tensor:
            out = op(x, *rest)
            return torch.cat([out.flatten()[:GRID], x.flatten()[GRID:]]).reshape(x.shape)

        return first

    return _each_op(baseline, limited)


@mutant
def hundredth_call_is_stale(baseline: Any) -> Any:
    """Every hundredth call gives what the call before it gave.

    Synthetic: a ring of output buffers whose slot is read before it is written, once a round.
    """

    def counted(op: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        kept: list[torch.Tensor] = []

        def call(*args: Any, **options: Any) -> torch.Tensor:
            kept.append(op(*args, **options))
            return kept[-2].clone() if len(kept) % 100 == 0 else kept[-1]

        return call

    return _each_op(baseline, counted)


def _each_op(baseline: Any, wrong: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Any:
    ops = {name: getattr(baseline, name) for name in dir(baseline) if not name.startswith("_")}
    return replace(baseline, **{name: wrong(op) for name, op in ops.items() if isinstance(op, FunctionType)})


def _as_it_lies(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    stored = value.untyped_storage().nbytes() // value.element_size() - value.storage_offset()
    flat = value.new_zeros(value.numel())  # what lies behind the array's own memory is anything
    within = min(stored, value.numel())
    flat[:within] = value.as_strided((within,), (1,), value.storage_offset())
    return flat.reshape(value.shape)


def _tail_dropped(op: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The elementwise op in whole blocks of 128 of the flat array; the rest keeps its input.

    Arrays shorter than a block are computed, as by a kernel with a path of its own for them.
    """

    def blocked(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        out = op(x, *rest)
        whole = x.numel() // BLOCK * BLOCK or x.numel()
        return torch.cat([out.flatten()[:whole], x.flatten()[whole:]]).reshape(x.shape)

    return blocked
