"""Inputs on which a wrong backward shows: gains of 0, batches of rows, labels outside [0, 1], unequal weights."""

from __future__ import annotations

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.inputs import norm
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.linear import linear_forward
from harness.reference.ops.losses import weighted_bce_forward
from harness.reference.training.targets import LEAST_DECISION, MOST_DECISION, example_weight

ZEROED = 5
"""Every fifth gain is 0: its gradient must not be found by dividing by it."""


def linear(case: Case, *, batch: int, rows: int, inner: int, outer: int, bias: bool) -> Call:
    """Normal rows of several batches. Shapes: x (batch, rows, inner), weight (outer, inner), bias (outer,)."""
    x = case.normal("x", (batch, rows, inner))
    weight = case.normal("weight", (outer, inner), std=inner**-0.5)
    return Call((x, weight), linear_forward, {"bias": case.normal("bias", (outer,)) if bias else None})


def rmsnorm(case: Case, *, rows: int, hidden: int, eps: float, std: float) -> Call:
    """The rows of `ops.inputs.norm:rmsnorm`, every fifth gain 0. Shapes: x (rows, hidden), weight (hidden,)."""
    call = norm.rmsnorm(case, rows=rows, hidden=hidden, eps=eps, std=std)
    return call._replace(args=(call.args[0], _gains(case, call.args[1]), *call.args[2:]))


def layernorm(case: Case, *, rows: int, hidden: int, eps: float, std: float) -> Call:
    """The rows of `harness.falsifiers.ops.inputs.norm:layernorm`, every fifth gain 0.

    Shapes: x (rows, hidden), weight (hidden,), bias (hidden,).
    """
    call = norm.layernorm(case, rows=rows, hidden=hidden, eps=eps, std=std)
    return call._replace(args=(call.args[0], _gains(case, call.args[1]), *call.args[2:]))


def weighted_bce(case: Case, variant: int = 0, *, count: int, std: float = 3.0) -> Call:
    """Gate decisions from -1 to 1.5 as labels, and weights 1, 2, 4, 6, 7, 8 that grow with the logit.

    Weights that go with the losses: the mean of products is not the product of means.
    Variant 1 is other data of the same shape.
    Shapes: logits, labels and weights (count,).
    """
    labels = case.array(f"labels{variant}", lambda: _decisions(case.stream(f"labels{variant}"), count))
    logits = case.normal(f"logits{variant}", (count,), std=std)
    known = np.array([example_weight(*kind) for kind in KINDS])
    ranks = np.argsort(np.argsort(np.abs(logits)))
    weights = case.array(f"weights{variant}", known[ranks * len(known) // count])
    return Call((logits, labels, weights), weighted_bce_forward)


KINDS = (
    ("right", 0),
    ("missed", 0),
    ("false_positive", 0),
    ("false_positive", 1),
    ("false_positive", 2),
    ("false_positive", 3),
)


def _decisions(stream: np.random.Generator, count: int) -> np.ndarray:
    decisions = stream.uniform(LEAST_DECISION, MOST_DECISION, count)
    decisions[: min(count, 5)] = [-0.5, 1.5, -1.0, 0.0, 1.0][: min(count, 5)]
    return decisions


def _gains(case: Case, weight: np.ndarray) -> np.ndarray:
    return case.array("gains", np.where(np.arange(weight.size) % ZEROED == 1, 0.0, weight))
