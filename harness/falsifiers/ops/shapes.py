"""The named axes of an op's arguments and answer, as a contract writes them."""

from __future__ import annotations

import inspect
import math
import re
from typing import Any, NamedTuple

import numpy as np

from harness.errors import UserError
from harness.falsifiers.ops.inputs.call import Call

_ARRAY = re.compile(r"(?P<name>\w*) ?\((?P<axes>[\w, ]*)\)(?: of (?P<ids>\w+))?")


class Named(NamedTuple):
    """One array's axes. `axes` holds a tuple of names for each dimension: more than one where axes are joined in it.

    `ids` is the axis that the array's numbers count along; None for an array of other numbers.
    """

    axes: tuple[tuple[str, ...], ...]
    ids: str | None

    @property
    def names(self) -> list[str]:
        """Every axis, joined ones apart."""
        return [name for joined in self.axes for name in joined]


class Shapes(NamedTuple):
    """The axes of the arguments by name, and of the answer."""

    arguments: dict[str, Named]
    out: Named


def parse(text: str) -> Shapes:
    """Read `tokens (batch, length) of vocab, weight (vocab, width) -> (batch, length, width)`.

    `(heads group, dim)` joins two axes in the first dimension, the first of them outermost. `of vocab` after an array
    says that it holds ids, which count along that axis.
    Raises: UserError if the text has another form.
    """
    before, arrow, after = text.partition("->")
    arguments = {found["name"]: _named(found) for found in _ARRAY.finditer(before)}
    answer = _ARRAY.fullmatch(after.strip())
    if not (arrow and answer and arguments and all(arguments)):
        raise UserError(f"given.shapes: found {text!r}, expected 'name (axis, ...), ... -> (axis, ...)'")
    return Shapes(arguments, _named(answer))


def _named(found: re.Match[str]) -> Named:
    axes = tuple(tuple(each.split()) for each in found["axes"].split(",") if each.strip())
    return Named(axes, found["ids"])


def arguments(call: Call) -> dict[str, Any]:
    """The call's arguments and options by the names that the reference gives them."""
    bound = inspect.signature(call.reference).bind(*call.args, **call.options)
    return dict(bound.arguments)


def with_arguments(call: Call, changed: dict[str, Any]) -> Call:
    """The same call with some arguments replaced, by name."""
    names = list(arguments(call))[: len(call.args)]
    args = tuple(changed.get(name, value) for name, value in zip(names, call.args, strict=True))
    return call._replace(args=args, options={key: changed.get(key, value) for key, value in call.options.items()})


def sizes(call: Call, shapes: Shapes) -> dict[str, int]:
    """The size of every axis of the arguments; of joined axes, one may be known from nowhere else."""
    given = arguments(call)
    known: dict[str, int] = {}
    dimensions = [
        (joined, size)
        for name, named in shapes.arguments.items()
        if isinstance(given.get(name), np.ndarray)
        for joined, size in zip(named.axes, given[name].shape, strict=True)
    ]
    for joined, size in sorted(dimensions, key=lambda each: len(each[0])):
        missing = [name for name in joined if name not in known]
        for name in missing:
            known[name] = size // math.prod(known[each] for each in joined if each in known)
    return known


def take(array: np.ndarray, named: Named, size: dict[str, int], axis: str, index: np.ndarray) -> np.ndarray:
    """The entries `index` of one axis, joined or not; the array itself if it has no such axis.

    Shapes: array as `named`, index (n,) -> the same, `axis` of size n.
    """
    if axis not in named.names:
        return array
    place = named.names.index(axis)
    apart = [size[name] if name in size else array.shape[i] for i, joined in enumerate(named.axes) for name in joined]
    taken = np.take(array.reshape(apart), index, axis=place)
    left = iter(taken.shape)
    together: list[int] = [math.prod(next(left) for _ in joined) for joined in named.axes]
    return taken.reshape(together)
