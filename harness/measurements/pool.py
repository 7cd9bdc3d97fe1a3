"""The rows of one subject in one dtype and pair, and the sums over them from which measurements are computed.

a = err/scale of the subject in one case, b the same of the baseline, with
scale = max(rms(reference), min_normal/u, the contract's optional scale); A and B are
their root mean squares over the cases of one dtype. See docs/limits.md for the rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.measurements.row import Row, number

if TYPE_CHECKING:
    from harness.dtypes import Format

Value = tuple[float, Row | None]
"""A number, and the row that decides it (None if no single row does)."""
OfRow = Callable[[Row], float]


@dataclass(frozen=True)
class Pool:
    """Rows of one subject in one dtype and pair, and the baseline's rows in that dtype and pair."""

    dtype: str
    rows: list[Row]
    baseline: list[Row]
    scale: float | None = None

    @property
    def slack(self) -> float:
        """u/4: added to the divisor of a ratio, so that the ratio stays finite if the baseline is exact."""
        return self._format().unit_roundoff / 4

    def rms_error(self, row: Row) -> float:
        """err/scale in root mean square; NaN if the row could not be compared."""
        return _root(number(row, "err_sq"), row["n"]) / self._scale(row)

    def max_error(self, row: Row) -> float:
        """The largest absolute error divided by scale."""
        return number(row, "err_max") / self._scale(row)

    def pooled(self, error: OfRow) -> float:
        """The root mean square of `error` over the rows: A, if `error` is `rms_error`."""
        return _rms([error(row) for row in self.rows])

    def pooled_baseline(self, error: OfRow) -> float:
        """The root mean square of `error` over the baseline's rows: B, if `error` is `rms_error`."""
        return _rms([error(row) for row in self.baseline])

    def ratio(self, error: OfRow) -> OfRow:
        """A row's error divided by the baseline's error, in the same case or pooled, whichever is larger."""
        pooled = self.pooled_baseline(error)
        by_case = {row["case"]: error(row) for row in self.baseline}
        return lambda row: error(row) / (max(by_case.get(row["case"], math.nan), pooled) + self.slack)

    def worst(self, of: OfRow) -> Value:
        """The largest value of `of` over the rows, and its row; a NaN counts as the largest."""
        found: Value = (-math.inf, None)
        for row in self.rows:
            value = of(row)
            if math.isnan(value):
                return value, row
            if value > found[0]:
                found = (value, row)
        return found

    def total(self, of: OfRow) -> Value:
        """The sum of `of` over the rows, and the row that adds the most."""
        return sum(of(row) for row in self.rows), self.worst(of)[1]

    def _scale(self, row: Row) -> float:
        fmt = self._format()
        floor = fmt.min_normal / fmt.unit_roundoff
        length = _root(number(row, "ref_sq"), row["n"])
        # If the squares of the reference overflow, the scale is infinite and would hide every error: NaN fails instead.
        return max(length, floor, self.scale or 0.0) if math.isfinite(length) else math.nan

    def _format(self) -> Format:
        from harness.dtypes import FORMATS  # imports NumPy, which `harness validate` must not load

        return FORMATS[self.dtype]


def _root(total: float, count: int) -> float:
    return math.sqrt(total / count) if count and total >= 0 else math.nan


def _rms(values: list[float]) -> float:
    return math.sqrt(math.fsum(v * v for v in values) / len(values)) if values else math.nan
