"""Backward of single ops: the gradient of every input, against the reference's hand-written one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.builder import build
from harness.falsifiers.ops.inputs.call import Call
from harness.observation import Observation


def op_backward(subject: Any, case: Case, *, op: str, upstream: float = 1.0, **params: Any) -> Observation:
    """`<op>_backward(dout, *inputs)` gives the gradients of its floating inputs, in input order: one pair for each.

    dout is normal, of standard deviation `upstream`; where the output is one number it is `upstream` itself, as a loss
    scale is, without which float16 holds few digits of the gradient of a mean.
    """
    call = build(case, (f"{op}_gradients", op), **params)
    args = tuple(map(_double, call.args))
    out, _ = case.once(call.reference, *args, **call.options)
    dout = case.normal("dout", out.shape, std=upstream) if out.shape else upstream
    want = case.once(_differentiate, call.reference, _double(dout), args, call.options)
    got = _ask(subject, op, dout, call)
    # A gradient that is missing, or one too many, is a pair of unequal shapes that bears a name.
    padded = got + [np.zeros(0)] * (len(want) - len(got))
    pairs: dict[str, Any] = {name: (padded[i], want[name]) for i, name in enumerate(want)}
    pairs |= {f"surplus{i}": (each, np.zeros(0)) for i, each in enumerate(got[len(want) :], len(want))}
    return Observation(**pairs)


def _differentiate(
    forward: Callable[..., Any], dout: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> dict[str, np.ndarray]:
    """The reference's gradients by name: `dx` for the input `x`, in input order."""
    _, cache = forward(*args, **options)
    name = forward.__name__.removesuffix("_forward") + "_backward"
    backward = getattr(import_module(forward.__module__), name)
    taken = inspect.signature(backward).parameters
    found = backward(dout, cache, **{key: value for key, value in options.items() if key in taken})
    names = inspect.signature(forward).bind(*args, **options).arguments
    floating = [key for key, value in names.items() if isinstance(value, np.ndarray) and value.dtype.kind == "f"]
    gradients = [each for each in (found if isinstance(found, tuple) else (found,)) if each is not None]
    # The floating inputs that come last, as labels and weights of a loss, are constants.
    return {f"d{key}": each for key, each in zip(floating, gradients, strict=False)}


def _ask(subject: Any, op: str, dout: Any, call: Call) -> list[np.ndarray]:
    """The subject's gradients; an option at its neutral value is left out, as a subject may not know it."""
    neutral = {name: p.default for name, p in inspect.signature(call.reference).parameters.items()}
    options = {k: v for k, v in call.options.items() if isinstance(v, np.ndarray) or v != neutral[k]}
    found = getattr(subject, f"{op}_backward")(dout, *call.args, **options)
    return [each for each in (found if isinstance(found, (tuple, list)) else (found,)) if each is not None]


def _double(value: Any) -> Any:
    floating = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return value.astype(np.float64) if floating else value
