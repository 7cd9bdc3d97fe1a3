"""What an entry of the table of measurements says."""

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
    """One built-in measurement. No field has a default: an entry that leaves one out cannot be made.

    Raises: TypeError naming a field that is missing; ValueError for a range or a text that says nothing.
    """

    what: str
    """What it is, as it follows "It is"."""
    reads: str
    """How its number reads."""
    range: tuple[float, float]
    """The smallest and the largest value it can take; `validate` refuses a limit that no value in it meets."""
    needs_baseline: bool
    """Whether it compares with the baseline; a claim without one cannot limit it."""
    alone: bool
    """Whether a limit on it means something for a single case; shrinking follows such limits only."""
    counts: bool
    """Whether it counts elements, so that rows without errors (integers, special values) carry it too."""
    sums: Summing | None
    """(got, want, dtype, baseline's output) -> the raw sums of one pair, beside those of the errors (n, err_sq,
    err_max, ref_sq, ref_max); None where the errors are enough. Called where a limit names the measurement, for
    floating-point arrays of one shape; the baseline's output is None unless `replaces_errors`."""
    replaces_errors: bool
    """Whether its sums stand in a row instead of the errors; taken where the baseline's output is at hand."""
    pooled: Callable[[Pool], Value]
    """The number over all rows that carry it (at least one), and the row that decides it."""
    of_row: Callable[[Pool], OfRow] | None
    """How the number of one row is read beside the whole baseline; None where single rows are not shown."""

    def __post_init__(self) -> None:
        low, high = self.range
        if not low < high:
            raise ValueError(f"range: found ({low}, {high}), expected the smallest value and a larger one")
        for name in ("what", "reads"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name}: found an empty text; `harness explain` shows it")
        if self.replaces_errors and not (self.sums and self.counts and self.needs_baseline):
            raise ValueError("replaces_errors: needs sums, counts and needs_baseline as well")
