"""Parse the `accept` block of a claim into limits, and evaluate them on pooled rows."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.judging.pool import value
from harness.judging.record import Params, Scalar
from harness.measurements.pool import Pool
from harness.measurements.row import Row
from harness.measurements.table import MEASUREMENTS

Accept = Mapping[str, Any]
"""The accept block of a claim, or a part of it, as YAML gives it."""
OPERATORS = {"le": operator.le, "lt": operator.lt, "ge": operator.ge, "gt": operator.gt, "eq": operator.eq}
UPPER = ("le", "lt")
"""The operators of an upper bound. All operators are false for NaN, so NaN violates every limit."""


@dataclass(frozen=True)
class Limit:
    """One operator of one measurement: `err_ratio le 2`, for the cases that `when` selects."""

    measure: str
    op: str
    bound: Any
    when: Params
    dtype: str | None = None
    """The dtype that this bound is for, if a map gives one bound per dtype."""
    other_dtypes: tuple[str, ...] = ()
    """For the `default` of such a map: the dtypes that have their own bound."""

    @property
    def label(self) -> str:
        where = [self.dtype] if self.dtype else []
        where += [f"not {name}" for name in self.other_dtypes]
        where += [f"{key}={'|'.join(map(_short, v if isinstance(v, list) else [v]))}" for key, v in self.when.items()]
        return f"{self.measure} {self.op} {_short(self.bound)}" + (f" [{', '.join(where)}]" if where else "")

    def selects(self, params: Params) -> bool:
        """Whether this limit judges a case with these parameters."""
        if self.dtype not in (None, params.get("dtype")) or params.get("dtype") in self.other_dtypes:
            return False
        return all(params.get(key) in (val if isinstance(val, list) else [val]) for key, val in self.when.items())


@dataclass(frozen=True)
class Group:
    """`any_of` or `all_of` over limits and groups."""

    kind: str
    members: tuple[Limit | Group, ...]

    @property
    def label(self) -> str:
        return f"{self.kind}({', '.join(member.label for member in self.members)})"


@dataclass(frozen=True)
class Finding:
    """The result of one limit on the pool of one dtype."""

    limit: str
    measure: str
    dtype: str
    value: float
    bound: float
    holds: bool
    margin: float
    """The value divided by the bound (inverted for a lower bound); infinite if that ratio has no meaning."""
    case: int | None = None
    pair: str | None = None
    row: Row | None = None


@dataclass(frozen=True)
class Sample:
    """The input of `evaluate`: rows and scalars of one subject, and the baseline's rows."""

    cases: dict[int, Params]
    rows: list[Row]
    scalars: list[Scalar]
    baseline: list[Row]
    scale: float | None = None
    judged: frozenset[int] | None = None
    """The cases to judge; None means all. The baseline is pooled over all cases either way."""


class Measured(NamedTuple):
    """A number, the case and pair that decide it, and their row if the number was measured from a pair."""

    value: float
    case: int | None = None
    pair: str | None = None
    row: Row | None = None


def parse(accept: Accept) -> list[Limit | Group]:
    """Parse the accept block into a list of limits and groups; all must hold."""
    found: list[Limit | Group] = []
    for name, entry in accept.items():
        if name in ("any_of", "all_of"):
            members = [member for part in entry for member in _as_one(part)]
            found += members if name == "all_of" else [Group(name, tuple(members))]
        else:
            found += _limits(name, entry)
    return found


def measures(accept: Accept) -> frozenset[str]:
    """Every measurement that the block limits or uses as a bound."""
    return frozenset(
        name
        for limit in flat(parse(accept))
        for name in (limit.measure, limit.bound if isinstance(limit.bound, str) else limit.measure)
    )


def flat(limits: list[Limit | Group]) -> Iterator[Limit]:
    """Every single limit, those inside groups included."""
    for limit in limits:
        if isinstance(limit, Group):
            yield from flat(list(limit.members))
        else:
            yield limit


def evaluate(limit: Limit | Group, sample: Sample) -> list[Finding]:
    """Evaluate a limit: one finding for each dtype among the cases that it selects."""
    if isinstance(limit, Group):
        return _evaluate_any(limit, sample)
    by_dtype: dict[str, set[int]] = {}
    for index, params in sample.cases.items():
        if limit.selects(params) and (sample.judged is None or index in sample.judged):
            by_dtype.setdefault(params["dtype"], set()).add(index)
    return [_finding(limit, dtype, chosen, sample) for dtype, chosen in sorted(by_dtype.items())]


def _as_one(part: Accept) -> list[Limit | Group]:
    """Parse one member of a group; several limits in one map must all hold."""
    members = parse(part)
    return members if len(members) == 1 else [Group("all_of", tuple(members))]


def _limits(name: str, entry: Accept) -> list[Limit]:
    when = dict(entry.get("when", {}))
    out: list[Limit] = []
    for op in OPERATORS:
        bound = entry.get(op)
        if isinstance(bound, dict):
            named = tuple(sorted(key for key in bound if key != "default"))
            out += [
                Limit(name, op, b, when, other_dtypes=named) if key == "default" else Limit(name, op, b, when, key)
                for key, b in bound.items()
            ]
        elif bound is not None:
            out.append(Limit(name, op, bound, when))
    return out


def _evaluate_any(group: Group, sample: Sample) -> list[Finding]:
    findings = [finding for member in group.members for finding in evaluate(member, sample)]
    out = []
    for dtype in sorted({finding.dtype for finding in findings}):
        parts = [finding for finding in findings if finding.dtype == dtype]
        judge = any if group.kind == "any_of" else all
        holds = judge(part.holds for part in parts)
        key = min(parts, key=lambda part: part.margin) if group.kind == "any_of" else max(parts, key=lambda p: p.margin)
        out.append(Finding(**{**vars(key), "limit": group.label, "holds": holds}))
    return out


def _finding(limit: Limit, dtype: str, chosen: set[int], sample: Sample) -> Finding:
    bound = limit.bound
    if isinstance(bound, str):
        bound = _measured(bound, limit.op, 0.0, dtype, chosen, sample).value
    bound = float(bound)
    found = _measured(limit.measure, limit.op, bound, dtype, chosen, sample)
    holds = bool(OPERATORS[limit.op](found.value, bound))
    return Finding(
        limit=limit.label,
        measure=limit.measure,
        dtype=dtype,
        value=found.value,
        bound=bound,
        holds=holds,
        margin=margin(limit.op, found.value, bound),
        case=found.case,
        pair=found.pair,
        row=found.row,
    )


def _measured(name: str, op: str, bound: float, dtype: str, chosen: set[int], sample: Sample) -> Measured:
    """The measurement over the chosen cases; of several pairs or scalars, the value closest to violating the limit."""
    if name not in MEASUREMENTS:
        held = [s for s in sample.scalars if s["name"] == name and s["case"] in chosen]
        found = [Measured(float(s["value"]), s["case"], s.get("pair")) for s in held]
        return _nearest(op, bound, found) if {each.case for each in found} == chosen else Measured(math.nan)
    counts = MEASUREMENTS[name].counts
    silent = chosen - {row["case"] for row in sample.rows}
    if silent:  # A case that compared nothing would hide behind the other cases of its pool.
        return Measured(math.nan, min(silent))
    pairs = sorted({row["pair"] for row in sample.rows if row["case"] in chosen})
    pools = (
        Pool(
            dtype, _of(sample.rows, pair, chosen), _of(sample.baseline, pair, dtype_cases(sample, dtype)), sample.scale
        )
        for pair in pairs
    )
    return _nearest(op, bound, [_of_pool(name, pool) for pool in pools if counts or _has_floats(pool)])


def _of_pool(name: str, pool: Pool) -> Measured:
    number, row = value(name, pool)
    return Measured(number, row["case"], row["pair"], row) if row else Measured(number)


def dtype_cases(sample: Sample, dtype: str) -> set[int]:
    """Indices of all cases of one dtype; the baseline is pooled over them."""
    return {index for index, params in sample.cases.items() if params["dtype"] == dtype}


def _of(rows: list[Row], pair: str, cases: set[int]) -> list[Row]:
    return [row for row in rows if row["pair"] == pair and row["case"] in cases]


def _has_floats(pool: Pool) -> bool:
    return any(not row.get("exact") for row in pool.rows)


def _nearest(op: str, bound: float, found: Sequence[Measured]) -> Measured:
    """The value closest to violating a limit: a NaN if there is one, else the largest for an upper bound, the smallest
    for a lower bound, the farthest from the bound for `eq`."""
    for each in found:
        if math.isnan(each.value):
            return each
    if not found:
        return Measured(math.nan)
    if op == "eq":
        return max(found, key=lambda each: abs(each.value - bound))
    pick = max if op in UPPER else min
    return pick(found, key=lambda each: each.value)


def margin(op: str, number: float, bound: float) -> float:
    """The number divided by the bound, inverted for a lower bound; infinite if that ratio has no meaning."""
    over, under = (number, bound) if op in UPPER else (bound, number)
    if op == "eq" or not (math.isfinite(over) and math.isfinite(under)) or under <= 0 or over < 0:
        return math.inf
    return over / under


def _short(bound: Any) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)
