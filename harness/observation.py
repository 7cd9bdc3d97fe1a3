"""The result of a falsifier in one case: named pairs (got, want) and named scalars."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


class Observation:
    """Named results of one call of a falsifier.

    A keyword whose value is a 2-tuple is a pair (got, want) of arrays, which
    ``harness.judging.measure`` compares; any other value must be a real number and is a
    measurement, whose name the falsifier's module lists in ``MEASURES``.
    ``series`` holds curves for the evidence (loss per step, error per token); ``where`` maps a measurement
    to its place (a tensor, a step), which the message about a violated limit names.

    Raises: TypeError if a value is neither a pair nor a number, or `where` names no measurement.
    """

    def __init__(
        self,
        *,
        series: dict[str, Iterable[float]] | None = None,
        where: dict[str, str] | None = None,
        **values: Any,
    ) -> None:
        self.pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.scalars: dict[str, float] = {}
        self.series = {name: [float(v) for v in curve] for name, curve in (series or {}).items()}
        for name, value in values.items():
            if isinstance(value, tuple) and len(value) == 2:
                self.pairs[name] = (np.asarray(value[0]), np.asarray(value[1]))
            elif isinstance(value, (bool, int, float, np.generic)) or np.ndim(value) == 0:
                self.scalars[name] = float(value)
            else:
                raise TypeError(
                    f"Observation({name}=...): found {type(value).__name__}, expected a pair (got, want) or a number"
                )
        self.where = {name: place for name, place in (where or {}).items() if place}
        unknown = sorted(self.where.keys() - self.scalars)
        if unknown:
            raise TypeError(f"Observation(where=...): found {unknown}, expected names of measurements")
