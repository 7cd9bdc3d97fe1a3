"""Checks of a claim's parameters: their domains, the `when` of each limit, and values that no limit covers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.contract.limits import WrittenLimit, limits
from harness.contract.problem import DataPath, Mistake, listed, nearest, shown
from harness.platforms import PLATFORMS

DTYPES = ("float64", "float32", "float16", "bfloat16")
LAYOUTS = ("contiguous", "strided", "transposed", "offset", "expanded")
"""How the arrays of a call may lie in memory; `harness.subject.layout` makes each."""
LISTS = ("choices", "each")
"""Kinds of domains that list their values."""
_NAMED = {"dtype": DTYPES, "memory_layout": LAYOUTS}
_ALWAYS: dict[str, dict[str, Any]] = {"dtype": {"choices": list(DTYPES)}, "device": {"choices": list(PLATFORMS)}}


def check_domains(source: dict[str, Any]) -> Iterator[Mistake]:
    """Report intervals with lo above hi, parameters both given and explored, and unknown dtypes."""
    given, explore = source.get("given", {}), source.get("explore", {})
    for name, domain in explore.items():
        if name in given:
            message = f"{name!r} is both given and explored; keep one of them"
            yield Mistake(("explore", name), message, at_key=True)
        for kind in ("sizes", "boundary", "uniform", "log_uniform"):
            if kind in domain:
                low, high = domain[kind]
                if not (low < high or (low == high and kind != "log_uniform")):
                    sign = "<" if kind == "log_uniform" else "<="
                    message = f"explore.{name}.{kind}: found [{low}, {high}], expected [lo, hi] with lo {sign} hi"
                    yield Mistake(("explore", name, kind), message)
    for name, known in _NAMED.items():
        yield from _check_named(name, known, given, explore)


def check_held(source: dict[str, Any]) -> Iterator[Mistake]:
    """Warn of whole numbers that are given and not explored, unless `held` says why; report unknown names in `held`.

    A size held constant hides each bug that needs another one: a tail, a second tile, a ratio that is no power of two.
    """
    given, explore, held = source.get("given", {}), source.get("explore", {}), source.get("held", {})
    for name in held:
        if name not in given and name not in explore:
            guess = nearest(name, {**given, **explore})
            yield Mistake(
                ("held", name), f"held: {name!r} is neither given nor explored{guess}; remove it", at_key=True
            )
    values = {**given, **{name: each[0] for name in explore if len(each := _listed_values(explore[name])) == 1}}
    bare = [
        name
        for name, value in values.items()
        if isinstance(value, int) and not isinstance(value, bool) and value > 0 and name not in held
    ]
    if bare:
        message = (
            f"{listed(bare)} held constant, so a bug at another size is not seen; explore it, as in "
            f"explore: {{{bare[0]}: {{sizes: [1, 40]}}}}, or write held: {{{bare[0]}: <reason>}}"
        )
        yield Mistake(("given",) if given else ("explore",), message, "warning", at_key=True)


def _check_named(
    name: str, known: tuple[str, ...], given: dict[str, Any], explore: dict[str, dict[str, Any]]
) -> Iterator[Mistake]:
    """Report values of a parameter that the engine itself reads and does not know."""
    written: list[tuple[DataPath, Any]] = [(("given", name), given[name])] if name in given else []
    kind, choices = next(iter(explore.get(name, {}).items()), ("", []))
    if kind not in LISTS:
        choices = []
    written += [(("explore", name, kind, i), each) for i, each in enumerate(choices)]
    for path, value in written:
        if value not in known:
            guess = nearest(str(value), known)
            yield Mistake(path, f"{name}: found {shown(value)}, expected one of {listed(known)}{guess}")
    if name in explore and kind not in LISTS:
        yield Mistake(("explore", name), f"{name}: expected choices among {listed(known)}")


def check_conditions(source: dict[str, Any]) -> Iterator[Mistake]:
    """Report a `when` that names an unknown parameter or value, and explored values that no limit covers."""
    domains = _domains(source)
    all_limits = list(limits(source["accept"]))
    clean = True
    for limit in all_limits:
        for name, wanted in limit.source.get("when", {}).items():
            for finding in _check_condition(limit, name, wanted, domains):
                clean = False
                yield finding
        for dtype in limit.dtypes():
            if dtype != "default" and dtype not in _dtypes(source):
                message = f"a bound for {dtype}, but the claim runs in {listed(_dtypes(source))} only; remove it"
                yield Mistake(limit.path, message, at_key=True)
    if clean:
        yield from _check_coverage(source, all_limits, domains)


def _domains(source: dict[str, Any]) -> dict[str, dict[str, Any]]:
    given = {name: {"choices": [value]} for name, value in source.get("given", {}).items()}
    return {**_ALWAYS, **given, **source.get("explore", {})}


def _dtypes(source: dict[str, Any]) -> list[str]:
    """The dtypes a claim runs in: float32 if it names none."""
    named = _domains(source)["dtype"] if "dtype" in {**source.get("given", {}), **source.get("explore", {})} else {}
    return [str(each) for each in _listed_values(named) or ["float32"]]


def _check_condition(
    limit: WrittenLimit, name: str, wanted: Any, domains: dict[str, dict[str, Any]]
) -> Iterator[Mistake]:
    path = (*limit.path, "when", name)
    if name not in domains:
        guess = nearest(name, domains)
        message = f"when: {name!r} is neither explored nor given{guess} (there are: {listed(sorted(domains), 20)})"
        yield Mistake(path, message, at_key=True)
        return
    for value in _values(wanted):
        if not _contains(domains[name], value):
            choices = _listed_values(domains[name])
            has = listed(map(str, choices)) if choices else _interval(domains[name])
            guess = nearest(str(value), [each for each in choices or () if isinstance(each, str)])
            yield Mistake(path, f"when.{name}: {shown(value)} never happens, {name} is one of {has}{guess}")


def _check_coverage(
    source: dict[str, Any], all_limits: list[WrittenLimit], domains: dict[str, Any]
) -> Iterator[Mistake]:
    """Report each explored choice that no limit applies to: its cases would pass without being judged."""
    named = {name for limit in all_limits for name in limit.source.get("when", {})}
    for name in sorted(named & set(source.get("explore", {}))):
        for value in _listed_values(domains[name]) if name != "dtype" else ():
            if not any(_applies(limit, name, value) for limit in all_limits):
                yield Mistake(("accept",), f"no limit applies when {name} is {shown(value)}; add one", at_key=True)
    for dtype in _dtypes(source):
        if not any(_applies(limit, "dtype", dtype) and limit.covers(dtype) for limit in all_limits):
            yield Mistake(("accept",), f"no limit applies in {dtype}, in which the claim runs; add one", at_key=True)


def _applies(limit: WrittenLimit, name: str, value: Any) -> bool:
    when = limit.source.get("when", {})
    return name not in when or any(_same(value, each) for each in _values(when[name]))


def _values(wanted: Any) -> list[Any]:
    return wanted if isinstance(wanted, list) else [wanted]


def _contains(domain: dict[str, Any], value: Any) -> bool:
    if choices := _listed_values(domain):
        return any(_same(value, each) for each in choices)
    low, high = next(iter(domain.values()))
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and low <= value <= high


def _listed_values(domain: dict[str, Any]) -> list[Any]:
    """The values that a domain lists; none of an interval."""
    return next((list(domain[kind]) for kind in LISTS if kind in domain), [])


def _interval(domain: dict[str, Any]) -> str:
    low, high = next(iter(domain.values()))
    return f"[{low}, {high}]"


def _same(a: Any, b: Any) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)
