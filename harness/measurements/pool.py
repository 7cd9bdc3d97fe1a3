"""The rows of one subject in one dtype and pair, and the sums over them that measurements are made of.

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
"""A number, and the row that decides it."""
OfRow = Callable[[Row], float]


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
        return self._format().unit_roundoff / 4

    def rms_error(self, row: Row) -> float:
        """err/scale in root mean square; NaN when the row could not be compared."""
        return _root(number(row, "err_sq"), row["n"]) / self._scale(row)

    def max_error(self, row: Row) -> float:
        """Largest absolute error over scale."""
        return number(row, "err_max") / self._scale(row)

    def pooled(self, error: OfRow) -> float:
        """Root mean square of `error` over the rows: A, where it is `rms_error`."""
        return _rms([error(row) for row in self.rows])

    def pooled_baseline(self, error: OfRow) -> float:
        """Root mean square of `error` over the baseline's rows: B, where it is `rms_error`."""
        return _rms([error(row) for row in self.baseline])

    def ratio(self, error: OfRow) -> OfRow:
        """A row's error over the larger of the baseline's in the same case and its pooled one."""
        pooled = self.pooled_baseline(error)
        by_case = {row["case"]: error(row) for row in self.baseline}
        return lambda row: error(row) / (max(by_case.get(row["case"], math.nan), pooled) + self.slack)

    def worst(self, of: OfRow) -> Value:
        """The largest number of a row, and that row; a NaN is worse than anything."""
        found: Value = (-math.inf, None)
        for row in self.rows:
            value = of(row)
            if math.isnan(value):
                return value, row
            if value > found[0]:
                found = (value, row)
        return found

    def total(self, of: OfRow) -> Value:
        """The sum over the rows, and the row with the largest part of it."""
        return sum(of(row) for row in self.rows), self.worst(of)[1]

    def _scale(self, row: Row) -> float:
        fmt = self._format()
        floor = fmt.min_normal / fmt.unit_roundoff
        length = _root(number(row, "ref_sq"), row["n"])
        # A reference whose squares overflow has no length, and an error over infinity would be no error.
        return max(length, floor, self.scale or 0.0) if math.isfinite(length) else math.nan

    def _format(self) -> Format:
        from harness.dtypes import FORMATS  # loads NumPy, which `harness validate` does without

        return FORMATS[self.dtype]


def _root(total: float, count: int) -> float:
    return math.sqrt(total / count) if count and total >= 0 else math.nan


def _rms(values: list[float]) -> float:
    return math.sqrt(math.fsum(v * v for v in values) / len(values)) if values else math.nan
