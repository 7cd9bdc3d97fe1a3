"""The calls that a relation compares: the op on its arguments as built, and on the same arguments transformed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from harness.case import Case
from harness.errors import UserError
from harness.falsifiers.ops.inputs.call import Call
from harness.falsifiers.ops.shapes import Shapes, arguments, sizes, take, with_arguments

BLOCK = 32
"""`grow` fills an axis up to the next multiple of this and adds as many again, so that a short axis passes it."""
STEP = 0.25
SHIFTS = {"bfloat16": 24.0, "float16": 200.0, "float32": 200.0, "float64": 200.0}
"""The largest shift; with numbers up to 8 in steps of 1/4 each dtype holds the sum exactly, and exp(200) overflows."""
POWERS = {"float16": (4,), "bfloat16": (-12, 12), "float32": (-12, 12), "float64": (-12, 12)}
"""Exponents of two by which arguments are scaled; float16 has none below 0, where small numbers would be rounded."""


class Related(NamedTuple):
    """Two ways to one answer.

    `got` makes it from the answers of the transformed calls `moved`, `want` from the answer of the call `plain`.
    """

    plain: Call
    moved: list[Call]
    got: Callable[[list[np.ndarray]], np.ndarray]
    want: Callable[[np.ndarray], np.ndarray]


def related(case: Case, call: Call, name: str, shapes: Shapes, degrees: str) -> Related:
    """The calls of the relation `name`: `shift`, `scale`, or a verb and an axis, as `permute_rows`.

    permute and reverse change the order along the axis, alone takes its first, middle and last entry one at a time,
    split cuts it in two, grow adds copies of its entries. An answer without the axis stays as it is.
    Raises: UserError for a name that is no relation, and for an axis that no argument has.
    """
    if name == "shift":
        return _shifted(case, call)
    if name == "scale":
        return _scaled(case, call, degrees)
    verb, _, axis = name.partition("_")
    size = sizes(call, shapes)
    if verb not in _PARTS or axis not in size:
        raise UserError(
            f"relation: found {name!r}, expected shift, scale, or one of {', '.join(_PARTS)}, then _ and an axis of "
            f"shapes ({', '.join(size)})"
        )
    return _reordered(call, shapes, size, axis, _PARTS[verb](case.stream("relation"), size[axis]))


def _permuted(stream: np.random.Generator, size: int) -> list[np.ndarray]:
    return [stream.permutation(size)]


def _reversed(stream: np.random.Generator, size: int) -> list[np.ndarray]:
    return [np.arange(size)[::-1]]


def _alone(stream: np.random.Generator, size: int) -> list[np.ndarray]:
    return [np.array([at]) for at in sorted({0, size // 2, size - 1})]


def _split(stream: np.random.Generator, size: int) -> list[np.ndarray]:
    at = int(stream.integers(1, size)) if size > 1 else size
    return [part for part in np.split(np.arange(size), [at]) if part.size]


def _grown(stream: np.random.Generator, size: int) -> list[np.ndarray]:
    more = -size % BLOCK + size
    return [np.concatenate([np.arange(size), stream.integers(0, size, more)])]


_PARTS = {"permute": _permuted, "reverse": _reversed, "alone": _alone, "split": _split, "grow": _grown}
"""Verb -> the entries along the axis that each transformed call gets."""


def _reordered(call: Call, shapes: Shapes, size: dict[str, int], axis: str, parts: list[np.ndarray]) -> Related:
    """Each part of the axis in a call of its own; the answers joined are the plain answer in the parts' order."""
    out, given = shapes.out, arguments(call)
    moved = [with_arguments(call, _taken(given, shapes, size, axis, part)) for part in parts]
    index = np.concatenate(parts)
    if axis == out.ids:
        # Of equal numbers another may be first after a permutation, so that not the ids but what they name is compared.
        first = next(iter(given.values()))
        return Related(
            call,
            moved,
            lambda answers: _named_by(np.take(first, index, axis=-1), answers[0]),
            lambda answer: _named_by(first, answer),
        )
    if axis not in out.names:
        return Related(call, moved, lambda answers: answers[0], lambda answer: answer)
    place = next(i for i, joined in enumerate(out.axes) if axis in joined)
    return Related(
        call,
        moved,
        lambda answers: np.concatenate(answers, axis=place),
        lambda answer: take(answer, out, size, axis, index),
    )


def _taken(
    given: dict[str, Any], shapes: Shapes, size: dict[str, int], axis: str, index: np.ndarray
) -> dict[str, np.ndarray]:
    """The arguments that have the axis, or count along it, for these entries of it."""
    changed = {}
    for name, named in shapes.arguments.items():
        if isinstance(given.get(name), np.ndarray):
            array = take(given[name], named, size, axis, index)
            changed[name] = _renumbered(array, index) if named.ids == axis else array
    return changed


def _renumbered(ids: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Each id becomes the place to which its entry moved; ids below 0 name no entry and stay."""
    return np.where(ids < 0, ids, np.argsort(order)[np.maximum(ids, 0)])


def _named_by(numbers: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """What the ids name along the last axis; NaN for an id that names nothing. Shapes: (..., V), (...) or (..., k)."""
    at = ids.reshape(*numbers.shape[:-1], -1)
    found = np.take_along_axis(numbers, np.clip(at, 0, numbers.shape[-1] - 1), -1).astype(np.float64)
    return np.where((at >= 0) & (at < numbers.shape[-1]), found, np.nan).reshape(ids.shape)


def _shifted(case: Case, call: Call) -> Related:
    """The first argument, its rows around 0, in steps of 1/4 up to 8, plus and minus a number; all sums are exact.

    Infinite entries, as a mask leaves them, stay.
    """
    name, x = next(iter(arguments(call).items()))
    wide = x.astype(np.float64)
    level = wide.mean(axis=-1, keepdims=True, where=np.isfinite(wide))
    near = np.clip(np.round((wide - level) / STEP) * STEP, -8, 8)
    near = np.where(np.isfinite(wide), near, wide).astype(x.dtype)
    most = SHIFTS[case.dtype]
    shifts = [sign * (most - STEP * int(case.stream("relation").integers(0, 8))) for sign in (1, -1)]
    return Related(
        with_arguments(call, {name: near}),
        [with_arguments(call, {name: (near + shift).astype(x.dtype)}) for shift in shifts],
        np.stack,
        lambda answer: np.stack([answer] * len(shifts)),
    )


def _scaled(case: Case, call: Call, degrees: str) -> Related:
    """Each argument times s to its degree gives the answer times s to its own, s a power of two."""
    before, _, after = degrees.partition("->")
    of = {name: int(degree) for name, degree in (each.split() for each in before.split(",") if each.strip())}
    given, powers = arguments(call), POWERS[case.dtype]
    moved = [
        with_arguments(call, {n: _times(given[n], power * d) for n, d in of.items() if given.get(n) is not None})
        for power in powers
    ]
    return Related(
        call,
        moved,
        lambda answers: np.stack([_times(a, -p * int(after)) for a, p in zip(answers, powers, strict=True)]),
        lambda answer: np.stack([answer] * len(powers)),
    )


def _times(x: Any, power: int) -> Any:
    """x * 2**power; exact, as no result is below the least normal number."""
    return np.ldexp(x, power) if isinstance(x, np.ndarray) else x * 2.0**power
