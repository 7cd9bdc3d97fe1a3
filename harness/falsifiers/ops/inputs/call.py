"""One call of an op: what goes in, and the reference function that knows the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Call(NamedTuple):
    """Arguments for a subject and for its reference.

    `args` are positional: arrays recorded by the case, and plain numbers; `options`
    are passed by name to the reference, and to the subject where they differ from
    the reference's default. `reference` returns (out, cache), out one array.
    """

    args: tuple[Any, ...]
    reference: Callable[..., tuple[Any, Any]]
    options: dict[str, Any] = {}  # noqa: RUF012  (a NamedTuple default, read only)
