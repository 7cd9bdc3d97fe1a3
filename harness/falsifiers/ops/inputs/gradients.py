"""Inputs on which a wrong backward shows and a forward does not: gains of 0, batches of rows."""

from __future__ import annotations

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.inputs import norm
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.linear import linear_forward

ZEROED = 5
"""Every fifth gain is 0: its gradient must not be found by dividing by it."""


def linear_gradients(case: Case, *, batch: int, rows: int, inner: int, outer: int, bias: bool) -> Call:
    """Normal rows of several batches. Shapes: x (batch, rows, inner), weight (outer, inner), bias (outer,)."""
    x = case.normal("x", (batch, rows, inner))
    weight = case.normal("weight", (outer, inner), std=inner**-0.5)
    return Call((x, weight), linear_forward, {"bias": case.normal("bias", (outer,)) if bias else None})


def rmsnorm_gradients(case: Case, *, rows: int, hidden: int, eps: float, std: float) -> Call:
    """The rows of `ops.inputs.norm:rmsnorm`, every fifth gain 0. Shapes: x (rows, hidden), weight (hidden,)."""
    call = norm.rmsnorm(case, rows=rows, hidden=hidden, eps=eps, std=std)
    return call._replace(args=(call.args[0], _gains(case, call.args[1]), *call.args[2:]))


def layernorm_gradients(case: Case, *, rows: int, hidden: int, eps: float, std: float) -> Call:
    """The rows of `harness.falsifiers.ops.inputs.norm:layernorm`, every fifth gain 0.

    Shapes: x (rows, hidden), weight (hidden,), bias (hidden,).
    """
    call = norm.layernorm(case, rows=rows, hidden=hidden, eps=eps, std=std)
    return call._replace(args=(call.args[0], _gains(case, call.args[1]), *call.args[2:]))


def _gains(case: Case, weight: np.ndarray) -> np.ndarray:
    return case.array("gains", np.where(np.arange(weight.size) % ZEROED == 1, 0.0, weight))
