"""Compute a measurement by its name, over a pool of rows or for single rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from harness.measurements.pool import Pool, Value
from harness.measurements.row import Row
from harness.measurements.table import MEASUREMENTS


def value(name: str, pool: Pool) -> Value:
    """The measurement `name` over a pool, and the row that decides it; NaN if no row carries it.

    Raises: KeyError if the name is not a built-in measurement.
    """
    entry = MEASUREMENTS[name]
    # Rows of integers and of special values have no errors; only measurements that count elements use them.
    rows = [row for row in pool.rows if entry.counts or not row.get("exact")]
    return entry.pooled(replace(pool, rows=rows)) if rows else (math.nan, None)


def of_rows(name: str, pool: Pool) -> Callable[[Row], float] | None:
    """A function from one row to the measurement `name`, relative to the pool's baseline; None if it has none.

    Raises: KeyError if the name is not a built-in measurement.
    """
    of_row = MEASUREMENTS[name].of_row
    return of_row(pool) if of_row else None
