"""Faults along the last axis of any op, and of large numbers: the usual lengths and values are right."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from harness.falsifiers.ops.mutants.relations.rows import after_every_op
from harness.mutant import mutant

VECTOR = 8
LARGEST = 300.0


@mutant
def tail_of_a_vector_repeats(baseline: Any) -> Any:
    """Columns beyond the last whole vector of 8 get the last column of that vector. Synthetic: loads of 8 numbers at
    once need a path for the rest, and the usual widths are multiples of 8."""

    def repeated(out: Tensor) -> Tensor:
        whole = out.shape[-1] // VECTOR * VECTOR if out.ndim else 0
        if whole and out.is_floating_point():
            out = out.clone()
            out[..., whole:] = out[..., whole - 1 : whole]
        return out

    return after_every_op(baseline, repeated)


@mutant
def lone_column_doubled(baseline: Any) -> Any:
    """An array of one column is taken for a row. Synthetic: a stride of 1 in both axes cannot tell them apart, and no
    usual array has one column."""

    def doubled(out: Tensor) -> Tensor:
        return out * 2 if out.ndim > 1 and out.shape[-1] == 1 and out.is_floating_point() else out

    return after_every_op(baseline, doubled)


@mutant
def answers_clipped(baseline: Any) -> Any:
    """Answers are clipped to 300 in size. Synthetic: a guard against overflow that ordinary data never meets."""

    def clipped(out: Tensor) -> Tensor:
        return out.clamp(-LARGEST, LARGEST) if out.is_floating_point() else out

    return after_every_op(baseline, clipped)


@mutant
def small_answers_flushed(baseline: Any) -> Any:
    """Answers below 1e-4 become 0. Synthetic: a threshold meant for denormals, at a size that ordinary data seldom
    has."""

    def flushed(out: Tensor) -> Tensor:
        return out.where(out.abs() > 1e-4, 0) if out.is_floating_point() else out

    return after_every_op(baseline, flushed)
