"""Checks that JSON Schema cannot make: inside a claim, and of the dependencies between contracts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.contract.domain import check_conditions, check_domains, check_held
from harness.contract.limits import check_limits
from harness.contract.names.modules import Modules
from harness.contract.names.resolve import Binding, resolve
from harness.contract.problem import Mistake, nearest

MOST_EXAMPLES = 10_000
"""Cases that a claim may ask for without a reason."""
_LIMITED_BY = frozenset({"accept", "given", "explore"})


def check_claim(
    source: dict[str, Any], broken: frozenset[str], folder: Path, modules: Modules
) -> tuple[Binding | None, list[Mistake]]:
    """The claim's binding (None for an unbound claim) and the mistakes in it.

    `source` lacks the fields of wrong shape. `broken` names them: the schema check has already reported
    these fields, so no second mistake is reported about them.
    """
    if "unbound" in {*source, *broken}:
        return None, []
    findings = [] if "mutants" in broken else list(_check_mutants(source, broken))
    findings += [] if "examples" in broken else list(_check_examples(source, broken))
    if not broken & {"given", "explore"}:
        findings += [*check_domains(source), *check_held(source)]
    binding, unresolved = resolve(source, folder, modules, complete=not broken & {"given", "explore"})
    findings += unresolved
    if "accept" in source:
        measures = binding.measures if binding else None
        findings += check_limits(source["accept"], measures, "baseline" in source or "baseline" in broken)
    if "accept" in source and not broken & _LIMITED_BY:
        findings += check_conditions(source)
    return (None if any(each.severity == "error" for each in findings) else binding), findings


def _check_mutants(source: dict[str, Any], broken: frozenset[str]) -> Iterator[Mistake]:
    mutants = source.get("mutants", [])
    if not mutants and "mutants_exempt" not in {*source, *broken}:
        message = "no mutants, so nothing shows that this claim can fail; name some, or write mutants_exempt: <reason>"
        yield Mistake(("mutants",) if "mutants" in source else ("id",), message, at_key=True)
    if mutants and "mutants_exempt" in source:
        message = "both mutants and mutants_exempt are given; keep one of them"
        yield Mistake(("mutants_exempt",), message, at_key=True)
    if mutants and "baseline" not in {*source, *broken}:
        message = "mutants are made from a baseline, but the claim has none; add baseline: package.module"
        yield Mistake(("mutants",), message, at_key=True)


def _check_examples(source: dict[str, Any], broken: frozenset[str]) -> Iterator[Mistake]:
    """A slip of one zero costs hours, so that many cases need a reason; one that excuses nothing is a mistake too."""
    examples, excused = source.get("examples", 1), "examples_exempt" in {*source, *broken}
    if examples > MOST_EXAMPLES and not excused:
        message = f"examples: found {examples}, expected at most {MOST_EXAMPLES}; or write examples_exempt: <reason>"
        yield Mistake(("examples",), message)
    if examples <= MOST_EXAMPLES and excused:
        message = f"examples_exempt: found examples {examples}, which needs no reason up to {MOST_EXAMPLES}; remove it"
        yield Mistake(("examples_exempt",), message, at_key=True)


def check_depends(depends: dict[str, list[str]], elsewhere: Iterable[str]) -> Iterator[tuple[str, Mistake]]:
    """(contract id, mistake) for each dependency that does not exist or leads back to its contract.

    `elsewhere` holds the ids of contracts that exist outside the paths being checked.
    """
    known = {*depends, *elsewhere}
    for contract, needs in depends.items():
        for i, need in enumerate(needs):
            if need not in known:
                message = f"depends_on: no contract {need!r}{nearest(need, known)}; load it too or mend the id"
                yield contract, Mistake(("metadata", "depends_on", i), message)
    for cycle in cycles(depends):
        at = depends[cycle[0]].index(cycle[1])
        message = f"depends_on goes in a circle: {' -> '.join(cycle)}; remove one of these"
        yield cycle[0], Mistake(("metadata", "depends_on", at), message)


def cycles(depends: dict[str, list[str]]) -> Iterator[list[str]]:
    """Find circles by a depth-first walk in sorted order; each is listed from its smallest id back to that id."""
    done: set[str] = set()
    for start in sorted(depends):
        # The path from `start`, and the dependencies left to try at each step. This is an explicit stack,
        # because recursion along a chain of two thousand contracts exceeds Python's limit.
        way = [start] if start not in done else []
        open_ = [iter(depends[start])]
        while way:
            need = next(open_[-1], None)
            if need is None:
                done.add(way.pop())
                open_.pop()
            elif need in way:
                circle = way[way.index(need) :]
                first = circle.index(min(circle))
                yield [*circle[first:], *circle[:first], circle[first]]
            elif need in depends and need not in done:
                way.append(need)
                open_.append(iter(depends[need]))
