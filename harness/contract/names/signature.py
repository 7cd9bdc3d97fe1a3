"""The parameters of a falsifier, and the check that a claim gives them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.contract.problem import Mistake, listed, nearest

RESERVED = frozenset({"dtype", "memory_layout"})
"""Parameters that are part of the case and are not passed to the falsifier."""


@dataclass(frozen=True)
class Signature:
    """The parameters that a function accepts, those it requires, and whether it accepts any name (`open`)."""

    taken: tuple[str, ...]
    required: frozenset[str]
    open: bool
    positional: int

    @classmethod
    def of(cls, arguments: ast.arguments, *, skip: int | None = None) -> Signature:
        """Read keyword-only parameters, and positional ones after the first `skip` (None: no positional ones)."""
        positional = [*arguments.posonlyargs, *arguments.args]
        bare = len(positional) - len(arguments.defaults)
        named = [] if skip is None else [(arg.arg, i < bare) for i, arg in enumerate(positional)][skip:]
        named += [
            (arg.arg, default is None) for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        ]
        return cls(
            taken=tuple(name for name, _ in named),
            required=frozenset(name for name, needed in named if needed) - RESERVED,
            open=arguments.kwarg is not None,
            positional=1 << 16 if arguments.vararg else len(positional),
        )

    def joined(self, other: Signature) -> Signature:
        """The signature of this function if it passes its `**kwargs` on to the other."""
        return Signature(
            taken=(*self.taken, *(name for name in other.taken if name not in self.taken)),
            required=self.required | other.required,
            open=other.open,
            positional=self.positional,
        )


def check_parameters(source: dict[str, Any], signature: Signature, taker: str, complete: bool) -> Iterator[Mistake]:
    """Report parameters of `given` and `explore` that `taker` does not take and, if `complete`, those it lacks."""
    given = [(part, name) for part in ("given", "explore") for name in source.get(part, {})]
    if not signature.open:
        for part, name in given:
            if name not in signature.taken and name not in RESERVED:
                guess = nearest(name, signature.taken)
                takes = listed(signature.taken, 20)
                message = f"{part}.{name}: {taker} takes no {name!r}{guess} (it takes: {takes})"
                yield Mistake((part, name), message, at_key=True)
    for name in sorted(signature.required - {name for _, name in given}) if complete else ():
        message = f"{taker} requires the parameter {name!r}; add it to given or explore"
        yield Mistake(("given",) if "given" in source else ("falsifier",), message, at_key=True)
