"""The type of an entry in the table of measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.measurements.pool import OfRow, Pool, Value
from harness.measurements.row import Sums

if TYPE_CHECKING:
    import numpy as np

Summing = Callable[["np.ndarray", "np.ndarray", str, "np.ndarray | None"], Sums]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One built-in measurement. No field has a default, so that every entry states all of them.

    Raises: TypeError naming a missing field; ValueError for an empty range or an empty text.
    """

    what: str
    """The definition of the measurement, worded to follow "It is"."""
    reads: str
    """How to interpret its values."""
    range: tuple[float, float]
    """The smallest and the largest possible value; `validate` refuses a limit that no value between them meets."""
    needs_baseline: bool
    """Whether it compares with the baseline; a claim without a baseline cannot limit it."""
    alone: bool
    """Whether a limit on it has a meaning for a single case; shrinking uses only such limits."""
    counts: bool
    """Whether it counts elements; if so, rows without errors (integers, special values) carry it too."""
    sums: Summing | None
    """(got, want, dtype, baseline's output) -> the raw sums of one pair that it needs besides those of the errors (n,
    err_sq, err_max, ref_sq, ref_max); None if it needs no others. Called if a limit names the measurement, for
    floating-point arrays of one shape; the baseline's output is None unless `replaces_errors`."""
    replaces_errors: bool
    """Whether a row holds its sums in place of the errors, if the baseline's output is available."""
    pooled: Callable[[Pool], Value]
    """Computes the value over all rows that carry it (at least one), and the row that decides it."""
    of_row: Callable[[Pool], OfRow] | None
    """Given the pool, returns the function that computes the value of one row; None if reports show no single rows."""

    def __post_init__(self) -> None:
        low, high = self.range
        if not low < high:
            raise ValueError(f"range: found ({low}, {high}), expected the smallest value and a larger one")
        for name in ("what", "reads"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name}: found an empty text; `harness explain` shows it")
        if self.replaces_errors and not (self.sums and self.counts and self.needs_baseline):
            raise ValueError("replaces_errors: needs sums, counts and needs_baseline as well")
