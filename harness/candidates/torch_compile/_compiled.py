"""The eager candidate's rmsnorm, softmax and attention under torch.compile, for many kinds of input in one process."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, NamedTuple

import torch

from harness.candidates.torch.ops import attention as eager
from harness.candidates.torch.ops._masked import attend, hidden_keys
from harness.candidates.torch.ops.softmax import softmax as eager_softmax

KINDS = 256
"""How many kernels torch may compile of one op: one for each dtype, for sizes of 1, and in static mode for each shape.

Its own limit is 8; beyond it an op silently runs eagerly, or raises an error with fullgraph. In static mode the cases
of FALSIFY-SOFTMAX-001 are up to 48 kinds.
"""
MORE: dict[str, Any] = {"recompile_limit": KINDS} if "recompile_limit" in signature(torch.compile).parameters else {}
"""Versions of torch without the option keep their own limit."""

Op = Callable[..., Any]


class Kernels(NamedTuple):
    """Compiled ops, named and shaped as the eager ones."""

    rmsnorm: Op
    softmax: Op
    attention: Op


def kernels(*, dynamic: bool) -> Kernels:
    """Each op as one graph; with `dynamic` one kernel serves all sizes above 1, otherwise each shape has its own.

    Rows are laid out in two axes and masks are made before, so that ranks, batches of 1 and options are no new kinds.
    """
    norm, weights, heads = (
        torch.compile(op, dynamic=dynamic, fullgraph=True, **MORE) for op in (eager.rmsnorm, eager_softmax, attend)
    )

    @wraps(eager.rmsnorm)
    def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        return norm(x.reshape(-1, x.shape[-1]), weight, eps).reshape(x.shape)

    @wraps(eager_softmax)
    def softmax(x: torch.Tensor, axis: int = -1) -> torch.Tensor:
        last = x.movedim(axis, -1)
        return weights(last.reshape(-1, last.shape[-1])).reshape(last.shape).movedim(-1, axis)

    @wraps(eager.attention)
    def attention(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, scale: float | None = None, **masks: Any
    ) -> torch.Tensor:
        return heads(q, k, v, hidden_keys(q, k, **masks), q.shape[3] ** -0.5 if scale is None else scale)

    return Kernels(rmsnorm, softmax, attention)
