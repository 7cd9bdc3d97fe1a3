"""Two sizes of the suite: `make test` runs a sample of what is marked `sample(n)`, `make trust` (`--whole`) all of it.

The first n of a parametrized test belong to the sample; with n = 0 the test is run by `make trust` alone. Whoever
names a test by its whole id gets it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import pytest

T = TypeVar("T")


def kinds_first(parameters: Iterable[T], kind: Callable[[T], Hashable]) -> tuple[list[T], int]:
    """The parameters with the first of each kind in front, and the number of kinds, which `sample` is to run."""
    first, rest = dict[Hashable, T](), list[T]()
    for each in parameters:
        if (which := kind(each)) in first:
            rest.append(each)
        else:
            first[which] = each
    return [*first.values(), *rest], len(first)


def left_out(items: Iterable[pytest.Item], named: Iterable[str]) -> set[str]:
    """Ids of the tests that the sample is without; a test in `named` is never one of them."""
    kept, seen, gone = set(named), Counter[str](), set()
    for item in items:
        mark = item.get_closest_marker("sample")
        if mark is None:
            continue
        test = item.nodeid.partition("[")[0]
        seen[test] += 1
        if seen[test] > mark.args[0] and item.nodeid not in kept:
            gone.add(item.nodeid)
    return gone
