"""Compute value ÷ limit for each limit and each case of one subject."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypedDict

from harness.judging.findings import sample
from harness.judging.limits import Limit, Sample, dtype_cases, flat, margin, parse
from harness.judging.pool import of_rows
from harness.judging.record import Entry, Record, Subject
from harness.measurements.pool import Pool
from harness.measurements.row import Row
from harness.measurements.table import MEASUREMENTS


class Logs(TypedDict):
    """log10 of value ÷ limit per case; `zero` counts ratios that are 0, `lost` those that are not finite."""

    at: list[float]
    zero: int
    lost: int


class Spread(Logs):
    """The cases against one limit, in one dtype."""

    limit: str
    measure: str
    dtype: str


def spread(claim: Entry, record: Record, subject: Subject) -> list[Spread]:
    """Per limit and dtype, log10 of value ÷ limit of every case; a case above 0 violates the limit by itself.

    Limits for which a ratio has no meaning, such as `eq` or a bound of 0, are left out.
    """
    samples = sample(claim, record, subject)
    out: list[Spread] = []
    for limit in flat(parse(claim["accept"])):
        if isinstance(limit.bound, str) or limit.op == "eq":
            continue
        dtypes = sorted({str(params["dtype"]) for params in samples.cases.values() if limit.selects(params)})
        for dtype in dtypes:
            found = [margin(limit.op, value, float(limit.bound)) for value in _values(limit, dtype, samples)]
            if found and (limit.bound or limit.op not in ("le", "lt")):
                out.append({"limit": limit.label, "measure": limit.measure, "dtype": dtype, **_logs(found)})
    return out


def _logs(margins: list[float]) -> Logs:
    finite = [m for m in margins if math.isfinite(m)]
    return {
        "at": [round(math.log10(m), 3) for m in finite if m > 0],
        "zero": sum(m == 0 for m in finite),
        "lost": len(margins) - len(finite),
    }


def _values(limit: Limit, dtype: str, samples: Sample) -> Iterator[float]:
    """Yield the measurement of every case of the dtype that the limit selects, one per pair or scalar."""
    of_dtype = dtype_cases(samples, dtype)
    chosen = {
        i for i in of_dtype if limit.selects(samples.cases[i]) and (samples.judged is None or i in samples.judged)
    }
    if limit.measure not in MEASUREMENTS:
        yield from (float(s["value"]) for s in samples.scalars if s["name"] == limit.measure and s["case"] in chosen)
        return
    for pair in sorted({row["pair"] for row in samples.rows}):
        rows = _of(samples.rows, pair, chosen)
        measured = of_rows(limit.measure, Pool(dtype, rows, _of(samples.baseline, pair, of_dtype), samples.scale))
        if measured is not None:
            yield from map(measured, rows)


def _of(rows: list[Row], pair: str, cases: set[int]) -> list[Row]:
    return [row for row in rows if row["pair"] == pair and row["case"] in cases and not row.get("exact")]
