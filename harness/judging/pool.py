"""Pooling rows of raw sums into the measurements that limits name.

a = err/scale of the subject in one case, b the same of the baseline, with
scale = max(rms(reference), min_normal/u, the contract's optional scale); A and B are
their root mean squares over the cases of one dtype. See docs/limits.md for the rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.dtypes import FORMATS
from harness.judging.measure import Row

NAN = math.nan
COUNTS = ("mismatches", "nonfinite_mismatch")


@dataclass(frozen=True)
class Pool:
    """Rows of one subject in one dtype and pair, beside the baseline's for the same cases."""

    dtype: str
    rows: list[Row]
    baseline: list[Row]
    scale: float | None = None

    @property
    def slack(self) -> float:
        """u/4: keeps a ratio finite where the baseline happens to be exact."""
        return FORMATS[self.dtype].unit_roundoff / 4

    def rms_error(self, row: Row) -> float:
        """err/scale in root mean square; NaN when the row could not be compared."""
        return _root(_number(row, "err_sq"), row["n"]) / self._scale(row)

    def max_error(self, row: Row) -> float:
        """Largest absolute error over scale."""
        return _number(row, "err_max") / self._scale(row)

    def _scale(self, row: Row) -> float:
        fmt = FORMATS[self.dtype]
        floor = fmt.min_normal / fmt.unit_roundoff
        length = _root(_number(row, "ref_sq"), row["n"])
        # A reference whose squares overflow has no length, and an error over infinity would be no error.
        return max(length, floor, self.scale or 0.0) if math.isfinite(length) else NAN


Value = tuple[float, Row | None]


def value(name: str, pool: Pool) -> Value:
    """The measurement `name` over a pool, with the row that decides it.

    Raises: KeyError if the name is not a built-in measurement.
    """
    rows = [row for row in pool.rows if _carries(name, row)]
    return MEASUREMENTS[name](pool, rows) if rows else (NAN, None)


def _carries(name: str, row: Row) -> bool:
    """Integers and special values have no error; they count through a measurement of their own."""
    return name in COUNTS or not row.get("exact")


def _worst(rows: list[Row], of: Callable[[Row], float]) -> Value:
    """Largest value and its row; a NaN is worse than anything."""
    found: Value = (-math.inf, None)
    for row in rows:
        number = of(row)
        if math.isnan(number):
            return number, row
        if number > found[0]:
            found = (number, row)
    return found


def _max_abs_err(pool: Pool, rows: list[Row]) -> Value:
    return _worst(rows, lambda row: _number(row, "err_max"))


def _rel_l2_err(pool: Pool, rows: list[Row]) -> Value:
    return _worst(rows, pool.rms_error)


def _err_ratio(pool: Pool, rows: list[Row]) -> Value:
    pooled = _rms([pool.rms_error(row) for row in rows]) / (_pooled_baseline(pool, pool.rms_error) + pool.slack)
    return pooled, _worst(rows, pool.rms_error)[1]


def _baseline_err(pool: Pool, rows: list[Row]) -> Value:
    return _pooled_baseline(pool, pool.rms_error), None


def _ratio(pool: Pool, error: Callable[[Row], float]) -> Callable[[Row], float]:
    """A row's error over the larger of the baseline's in the same case and its pooled one."""
    pooled = _pooled_baseline(pool, error)
    by_case = {row["case"]: error(row) for row in pool.baseline}
    return lambda row: error(row) / (max(by_case.get(row["case"], NAN), pooled) + pool.slack)


def of_rows(name: str, pool: Pool) -> Callable[[Row], float] | None:
    """The measurement `name` of single rows, beside the whole baseline; None where single rows say nothing.

    `err_ratio` is pooled when it is judged; of a row it is that row's share in the pool.
    """
    if name == "err_ratio":
        unit = _pooled_baseline(pool, pool.rms_error) + pool.slack
        return lambda row: pool.rms_error(row) / unit
    ratios = {"worst_ratio": pool.rms_error, "worst_ratio_max": pool.max_error}
    if name in ratios:
        return _ratio(pool, ratios[name])
    keys = {"max_abs_err": "err_max", "ulp": "ulp", "kl": "kl", **dict(zip(COUNTS, COUNTS, strict=True))}
    if name in keys:
        return lambda row: _number(row, keys[name])
    return pool.rms_error if name == "rel_l2_err" else None


def _pooled_baseline(pool: Pool, error: Callable[[Row], float]) -> float:
    return _rms([error(row) for row in pool.baseline])


def _extra(key: str, sign: int = 1) -> Callable[[Pool, list[Row]], Value]:
    def pick(pool: Pool, rows: list[Row]) -> Value:
        number, row = _worst(rows, lambda row: sign * _number(row, key))
        return sign * number, row

    return pick


def _agreement(pool: Pool, rows: list[Row]) -> Value:
    total = sum(row.get("rows", 0) for row in rows)
    worst = min(rows, key=lambda row: row.get("agree", 0) / max(row.get("rows", 0), 1))
    compared = all("agree" in row for row in rows) and total
    return (sum(row["agree"] for row in rows) / total if compared else NAN), worst


def _total(key: str) -> Callable[[Pool, list[Row]], Value]:
    def add(pool: Pool, rows: list[Row]) -> Value:
        return sum(_number(row, key) for row in rows), _worst(rows, lambda row: _number(row, key))[1]

    return add


MEASUREMENTS: dict[str, Callable[[Pool, list[Row]], Value]] = {
    "max_abs_err": _max_abs_err,
    "rel_l2_err": _rel_l2_err,
    "err_ratio": _err_ratio,
    "worst_ratio": lambda pool, rows: _worst(rows, _ratio(pool, pool.rms_error)),
    "worst_ratio_max": lambda pool, rows: _worst(rows, _ratio(pool, pool.max_error)),
    "baseline_err": _baseline_err,
    "ulp": _extra("ulp"),
    "cosine": _extra("cosine", sign=-1),
    "argmax_agreement": _agreement,
    "kl": _extra("kl"),
    "nonfinite_mismatch": _total("nonfinite_mismatch"),
    "mismatches": _total("mismatches"),
}


def _number(row: Row, key: str) -> float:
    found: Any = row.get(key, NAN)
    return float(found)


def _root(total: float, count: int) -> float:
    return math.sqrt(total / count) if count and total >= 0 else NAN


def _rms(values: list[float]) -> float:
    return math.sqrt(math.fsum(v * v for v in values) / len(values)) if values else NAN
