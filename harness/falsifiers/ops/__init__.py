"""Single ops against their float64 reference: one call, or two calls with different settings."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.builder import build
from harness.falsifiers.ops.inputs.call import Call
from harness.observation import Observation


def parity(subject: Any, case: Case, *, op: str, **params: Any) -> Observation:
    """One call of `op` equals the reference on the same arguments."""
    call = build(case, (op,), 0, **params)
    return Observation(out=(ask(subject, op, call), _answer(case, call)))


def two_settings(subject: Any, case: Case, *, op: str, **params: Any) -> Observation:
    """Two calls in one process, same shapes, other settings and data: both results hold after both calls.

    A kernel kept under too coarse a key answers the second call with the first one's
    settings; a reused output buffer overwrites the first result.
    """
    first, second = build(case, (op,), 0, **params), build(case, (op,), 1, **params)
    got = [ask(subject, op, call) for call in (first, second)]
    return Observation(first=(got[0], _answer(case, first)), second=(got[1], _answer(case, second)))


def many_calls(subject: Any, case: Case, *, op: str, calls: int, **params: Any) -> Observation:
    """Every one of many calls in one process is right, two settings and two sets of data in turn.

    What is kept between calls, in a buffer or a counter of few bits, may be wrong once in a hundred.
    Shapes: the answer's, stacked (calls, ...).
    """
    both = [build(case, (op,), variant, **params) for variant in (0, 1)]
    want = [_answer(case, call) for call in both]
    got = [ask(subject, op, both[number % 2]) for number in range(calls)]
    return Observation(every=(np.stack(got), np.stack([want[number % 2] for number in range(calls)])))


def ask(subject: Any, op: str, call: Call) -> np.ndarray:
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
