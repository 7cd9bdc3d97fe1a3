"""Find bad stages from per-stage errors: pure functions, which the harness and its own falsifier share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from harness.dtypes import FORMATS
from harness.judging.measure import measure
from harness.measurements.pool import Pool

BAD_U = 64
"""Largest error, in unit round-offs, of a good stage, which is one operation; a baseline has the same bound."""


def error_u(got: np.ndarray, want: np.ndarray, dtype: str) -> float:
    """A stage's relative L2 error in unit round-offs of dtype; NaN if the arrays cannot be compared.

    Shapes: got and want any, equal.
    """
    row = measure("stage", np.asarray(got), np.asarray(want), case=0, dtype=dtype, extras=frozenset())
    return Pool(dtype, [row], []).rms_error(row) / FORMATS[dtype].unit_roundoff


class Convicted(TypedDict):
    """The stages whose errors are too large."""

    first_divergent: str | None
    independently_bad: list[str]


def convicted(alone: Mapping[str, float], through: Mapping[str, float]) -> Convicted:
    """The independently bad stages, in order, and the first divergent stage (None if no stage is bad).

    Units: errors in unit round-offs by stage, in the order of computation: `alone` from a run in which every
           stage gets the reference's inputs, `through` from a plain run, where errors add up. NaN is bad.
    """
    bad = [name for name, error in alone.items() if not error <= BAD_U]
    first = next((name for name, error in through.items() if not error <= BAD_U), None)
    # A stage that is bad on its own takes precedence over a stage that may only show an inherited error.
    return {"first_divergent": bad[0] if bad else first, "independently_bad": bad}
