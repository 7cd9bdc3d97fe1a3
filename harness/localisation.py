"""From per-stage errors to the stages they convict: pure, so that the harness and a falsifier of it share one rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from harness.dtypes import FORMATS
from harness.judging.measure import measure
from harness.measurements.pool import Pool

BAD_U = 64
"""One stage is one operation: above 64 unit round-offs, the bound that also unseats a baseline, it is bad."""


def error_u(got: np.ndarray, want: np.ndarray, dtype: str) -> float:
    """A stage's relative L2 error in unit round-offs of dtype; NaN when the two cannot be compared.

    Shapes: got and want any, equal.
    """
    row = measure("stage", np.asarray(got), np.asarray(want), case=0, dtype=dtype, extras=frozenset())
    return Pool(dtype, [row], []).rms_error(row) / FORMATS[dtype].unit_roundoff


class Convicted(TypedDict):
    """The stages that errors convict."""

    first_divergent: str | None
    independently_bad: list[str]


def convicted(alone: Mapping[str, float], through: Mapping[str, float]) -> Convicted:
    """The independently bad stages, in order, and the first divergent one (None where nothing is wrong).

    Units: errors in unit round-offs by stage, in the order of computation: `alone` with every stage
           fed the reference's inputs, `through` as they add up in a plain run. NaN is bad.
    """
    bad = [name for name, error in alone.items() if not error <= BAD_U]
    first = next((name for name, error in through.items() if not error <= BAD_U), None)
    # A stage convicted on its own outranks one that only shows an inherited error.
    return {"first_divergent": bad[0] if bad else first, "independently_bad": bad}
