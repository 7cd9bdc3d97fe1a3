"""A mistake in a contract (where it is, what was found, what was expected, what to do), and how to word it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning"]
DataPath = tuple[str | int, ...]
"""The keys and indices that lead to a value in a document: ("falsification_tests", 0, "accept", "err_ratio")."""


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake, printed as ``file:line:column: error: message``. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    severity: Severity
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}"


class Mistake(NamedTuple):
    """A mistake before its line is known: it has the path to the value, or to its key."""

    path: DataPath
    message: str
    severity: Severity = "error"
    at_key: bool = False

    def below(self, *prefix: str | int) -> Mistake:
        """The same mistake with `prefix` put before its path, for a larger document that holds this one there."""
        return self._replace(path=(*prefix, *self.path))


def closest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name most like `name`, ignoring case, or None if none is close."""
    by_folded = {each.lower(): each for each in sorted(valid, reverse=True)}
    close = get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest valid name, or an empty string."""
    close = closest(name, valid)
    return f"; did you mean {close!r}?" if close else ""


def listed(names: Iterable[Any], most: int = 12) -> str:
    """The names in order, separated by commas; after `most` names the list is cut."""
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "") or "none"


def shown(value: Any) -> str:
    """A value as a message shows it: written as in YAML, and cut to 60 characters."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a map of " + listed(value, 4) if value else "an empty map"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
