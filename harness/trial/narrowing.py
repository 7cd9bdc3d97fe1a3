"""Detect a candidate that rounds float64 inputs to float32 before it computes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.dtypes import round_mantissa
from harness.trial.experiment import Experiment, observe

COARSE = 7
"""Mantissa bits of the coarse rounding: so few that a float32 computation on the input gives another result."""


def narrowed(experiment: Experiment) -> list[str]:
    """Arrays of the first float64 case that the candidate rounds to float32 before it uses them.

    The test per array: rounding it to float32 beforehand changes no byte of the result, but rounding it coarsely does.
    So the candidate uses the array, but not its digits beyond float32.
    """
    spec = next((spec for spec in experiment.cases if spec.dtype == "float64"), None)
    if spec is None:
        return []
    case = experiment.make(spec)
    first, _ = observe(experiment, experiment.candidate, case, "candidate")
    answer = _bytes(first.pairs)

    def unmoved(name: str, values: np.ndarray) -> bool:
        again, _ = observe(
            experiment, experiment.candidate, experiment.make(spec, {**case.arrays, name: values}), "candidate"
        )
        return _bytes(again.pairs) == answer

    found = []
    for name, array in list(case.arrays.items()):
        if array.dtype != np.float64 or np.array_equal(single := _single(array), array, equal_nan=True):
            continue
        if unmoved(name, single) and not unmoved(name, round_mantissa(array, COARSE)):
            found.append(name)
    return found


def _single(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return array.astype(np.float32).astype(np.float64)


def _bytes(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, bytes]:
    return {name: got.tobytes() for name, (got, _) in pairs.items()}
