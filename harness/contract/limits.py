"""Checks of the limits in `accept`: their names, their bounds, and whether any value satisfies them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

from harness.contract.problem import DataPath, Mistake, listed, nearest
from harness.measurements.table import MEASUREMENTS

OPERATORS = ("le", "lt", "ge", "gt", "eq")
GROUPS = ("any_of", "all_of")
_LOSS = re.compile(r"loss|.*_loss|loss_.*|perplexity|.*_perplexity|ppl|nll")


@dataclass(frozen=True)
class WrittenLimit:
    """One limit of an accept tree: its path, its measurement, its operators and bounds."""

    path: DataPath
    measurement: str
    source: dict[str, Any]

    def bound(self, operator: str, dtype: str | None) -> Any:
        """The operator's number or measurement for a dtype, None if it has none."""
        value = self.source.get(operator)
        return value.get(dtype, value.get("default")) if isinstance(value, dict) else value

    def dtypes(self) -> tuple[str, ...]:
        """The dtypes that an operator's map of bounds names."""
        maps = [self.source[each] for each in OPERATORS if isinstance(self.source.get(each), dict)]
        return tuple(dict.fromkeys(name for each in maps for name in each))

    def covers(self, dtype: str) -> bool:
        """Whether any operator has a bound for `dtype`."""
        return any(self.bound(each, dtype) is not None for each in OPERATORS)


def limits(accept: dict[str, Any], path: DataPath = ("accept",)) -> Iterator[WrittenLimit]:
    """Every limit of an accept tree, those inside groups included, in written order."""
    for name, value in accept.items():
        if name in GROUPS:
            for i, branch in enumerate(value):
                yield from limits(branch, (*path, name, i))
        else:
            yield WrittenLimit((*path, name), name, value)


def check_limits(accept: dict[str, Any], measures: Iterable[str] | None, has_baseline: bool) -> Iterator[Mistake]:
    """Report limits that name an unknown measurement, lack a baseline, admit no value, or bound a loss on one side.

    `measures` holds the names that the falsifier's module adds; None if the falsifier was not found.
    """
    for limit in limits(accept):
        if measures is not None:
            yield from _check_names(limit, {*MEASUREMENTS, *measures})
        entry = MEASUREMENTS.get(limit.measurement)
        if entry and entry.needs_baseline and not has_baseline:
            message = f"{limit.measurement} compares with a baseline, but the claim has none; add baseline:"
            yield Mistake(limit.path, message, at_key=True)
        for dtype in limit.dtypes() or (None,):
            yield from _check_satisfiable(limit, dtype)
    yield from _check_losses(accept)


def _check_names(limit: WrittenLimit, known: set[str]) -> Iterator[Mistake]:
    written: list[tuple[DataPath, str]] = [((), limit.measurement)]
    written += [((each,), limit.source[each]) for each in OPERATORS if isinstance(limit.source.get(each), str)]
    for rest, name in written:
        if name not in known:
            hint = f"(known: {listed(sorted(known), 40)}; a falsifier's module adds its own in MEASURES = {{...}})"
            message = f"unknown measurement {name!r}{nearest(name, known)} {hint}"
            yield Mistake((*limit.path, *rest), message, at_key=not rest)


def _check_satisfiable(limit: WrittenLimit, dtype: str | None) -> Iterator[Mistake]:
    """Report a limit if no number lies within its bounds and within the measurement's range."""
    entry = MEASUREMENTS.get(limit.measurement)
    low, high = entry.range if entry else (-inf, inf)
    sides = {"ge": [(low, True)], "le": [(high, True)]}
    written = []
    for operator in OPERATORS:
        value = limit.bound(operator, dtype)
        if isinstance(value, (int, float)):
            written.append(f"{operator} {value:g}")
            for side in ("ge", "le") if operator == "eq" else (operator[0] + "e",):
                sides[side].append((value, operator[1] in "eq"))
    lower, lower_meets = max(sides["ge"], key=lambda bound: (bound[0], not bound[1]))
    upper, upper_meets = min(sides["le"], key=lambda bound: (bound[0], bound[1]))
    if not (lower < upper or (lower == upper and lower_meets and upper_meets)):
        where = f" in {dtype}" if dtype else ""
        span = f" (it lies in [{low:g}, {high:g}])" if entry else ""
        message = f"no {limit.measurement}{span} satisfies {' and '.join(written)}{where}; widen the limit"
        yield Mistake(limit.path, message, at_key=True)


def _check_losses(accept: dict[str, Any]) -> Iterator[Mistake]:
    bounded = _sides(accept)
    reported = set()
    for limit in limits(accept):
        name = limit.measurement
        missing = [side for side in ("upper", "lower") if (name, side) not in bounded]
        if _LOSS.fullmatch(name) and missing and name not in reported:
            reported.add(name)
            message = (
                f"{name} has no {' and no '.join(missing)} bound that always holds; "
                "a loss or perplexity needs both (a loss of 0.0008 came from a corpus of <unk>)"
            )
            yield Mistake(limit.path, message, at_key=True)


def _sides(accept: dict[str, Any]) -> set[tuple[str, str]]:
    """(measurement, side) pairs that the tree bounds in every branch of every any_of."""
    bounded: set[tuple[str, str]] = set()
    for name, value in accept.items():
        if name in GROUPS:
            branches = [_sides(branch) for branch in value]
            bounded |= set.intersection(*branches) if name == "any_of" else set.union(*branches)
        else:
            bounded |= {(name, "upper") for each in ("le", "lt", "eq") if each in value}
            bounded |= {(name, "lower") for each in ("ge", "gt", "eq") if each in value}
    return bounded
