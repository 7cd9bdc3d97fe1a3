"""A measurement by its name, over a pool of rows or of each row."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from harness.measurements.pool import Pool, Value
from harness.measurements.row import Row
from harness.measurements.table import MEASUREMENTS


def value(name: str, pool: Pool) -> Value:
    """The measurement `name` over a pool, with the row that decides it; NaN where no row carries it.

    Raises: KeyError if the name is not a built-in measurement.
    """
    entry = MEASUREMENTS[name]
    # Integers and special values have no error; they count through a measurement of their own.
    rows = [row for row in pool.rows if entry.counts or not row.get("exact")]
    return entry.pooled(replace(pool, rows=rows)) if rows else (math.nan, None)


def of_rows(name: str, pool: Pool) -> Callable[[Row], float] | None:
    """The measurement `name` of single rows, beside the whole baseline; None where single rows say nothing.

    Raises: KeyError if the name is not a built-in measurement.
    """
    of_row = MEASUREMENTS[name].of_row
    return of_row(pool) if of_row else None
