"""Single ops against their float64 reference: one call, or two calls with different settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from harness.case import Case
from harness.errors import UserError
from harness.falsifiers.ops.inputs.call import Call
from harness.observation import Observation

INPUTS = {
    "rmsnorm": "harness.falsifiers.ops.inputs.norm:rmsnorm",
    "softmax": "harness.falsifiers.ops.inputs.softmax:softmax",
    "attention": "harness.falsifiers.ops.inputs.attention:attention",
    "layernorm": "harness.falsifiers.ops.inputs.norm:layernorm",
    "l2norm": "harness.falsifiers.ops.inputs.norm:l2norm",
    "gelu": "harness.falsifiers.ops.inputs.activations:gelu",
    "gelu_tanh": "harness.falsifiers.ops.inputs.activations:gelu_tanh",
    "silu": "harness.falsifiers.ops.inputs.activations:silu",
    "relu": "harness.falsifiers.ops.inputs.activations:relu",
    "leaky_relu": "harness.falsifiers.ops.inputs.activations:leaky_relu",
    "elu": "harness.falsifiers.ops.inputs.activations:elu",
    "sigmoid": "harness.falsifiers.ops.inputs.activations:sigmoid",
    "tanh": "harness.falsifiers.ops.inputs.activations:tanh",
    "swiglu": "harness.falsifiers.ops.inputs.activations:swiglu",
    "rope": "harness.falsifiers.ops.inputs.rope:rope",
    "linear": "harness.falsifiers.ops.inputs.linear:linear",
    "matmul": "harness.falsifiers.ops.inputs.linear:matmul",
    "embedding": "harness.falsifiers.ops.inputs.linear:embedding",
    "cross_entropy": "harness.falsifiers.ops.inputs.losses:cross_entropy",
    "weighted_bce": "harness.falsifiers.ops.inputs.gradients:weighted_bce",
    "top_k": "harness.falsifiers.ops.inputs.sampling:top_k",
    "argmax": "harness.falsifiers.ops.inputs.sampling:argmax",
}
"""Op -> the function (case, [variant], **params) -> Call that builds its arguments."""


def parity(subject: Any, case: Case, *, op: str, **params: Any) -> Observation:
    """One call of `op` equals the reference on the same arguments."""
    call = _build(case, op, 0, params)
    return Observation(out=(_ask(subject, op, call), _answer(case, call)))


def two_settings(subject: Any, case: Case, *, op: str, **params: Any) -> Observation:
    """Two calls in one process, same shapes, other settings and data: both results hold after both calls.

    A kernel kept under too coarse a key answers the second call with the first one's
    settings; a reused output buffer overwrites the first result.
    """
    first, second = _build(case, op, 0, params), _build(case, op, 1, params)
    got = [_ask(subject, op, call) for call in (first, second)]
    return Observation(first=(got[0], _answer(case, first)), second=(got[1], _answer(case, second)))


def _build(case: Case, op: str, variant: int, params: dict[str, Any]) -> Call:
    builder = _builder(op)
    try:
        inspect.signature(builder).bind(case, variant, **params)
    except TypeError as problem:
        raise UserError(f"op {op}: {problem} in given or explore; expected what {INPUTS[op]} takes") from None
    call: Call = builder(case, variant, **params)
    return call


def _builder(op: str) -> Callable[..., Any]:
    if op not in INPUTS:
        raise UserError(f"given.op: found {op!r}, expected one of {', '.join(sorted(INPUTS))}")
    module, _, name = INPUTS[op].partition(":")
    builder: Callable[..., Any] = getattr(import_module(module), name)
    return builder


def _ask(subject: Any, op: str, call: Call) -> np.ndarray:
    """The subject's answer; an option at its neutral value is left out, so that a subject without it can be tried."""
    neutral = {name: p.default for name, p in inspect.signature(call.reference).parameters.items()}
    options = {k: v for k, v in call.options.items() if isinstance(v, np.ndarray) or v != neutral[k]}
    got: np.ndarray = getattr(subject, op)(*call.args, **options)
    return got


def _answer(case: Case, call: Call) -> np.ndarray:
    out: np.ndarray = case.once(call.reference, *map(_double, call.args), **call.options)[0]
    return out


def _double(value: Any) -> Any:
    floating = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return value.astype(np.float64) if floating else value
