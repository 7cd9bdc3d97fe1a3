"""Rules by which kernels are usually compared: a version against its right twin on one conventional problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from wrong.problems import PROBLEMS
from wrong.version import Numpy, Version, flat

TRIALS = 5


def assert_close(got: np.ndarray, want: np.ndarray) -> bool:
    """`torch.testing.assert_close` with its defaults: rtol 1.3e-6 and atol 1e-5 in float32, exact for integers."""
    try:
        torch.testing.assert_close(torch.from_numpy(np.array(got)), torch.from_numpy(np.array(want)), equal_nan=True)
    except AssertionError:
        return False
    return True


def allclose(got: np.ndarray, want: np.ndarray) -> bool:
    """`numpy.allclose` with its defaults: rtol 1e-5, atol 1e-8."""
    return got.shape == want.shape and bool(np.allclose(got, want, equal_nan=True))


def kernelbench(got: np.ndarray, want: np.ndarray) -> bool:
    """KernelBench in fp32: equal shapes and `torch.allclose` at atol = rtol = 1e-4, in each of five trials."""
    return got.shape == want.shape and bool(np.allclose(got, want, rtol=1e-4, atol=1e-4))


RULES: dict[str, tuple[Callable[[np.ndarray, np.ndarray], bool], int]] = {
    "torch.testing.assert_close": (assert_close, 1),
    "numpy.allclose": (allclose, 1),
    "KernelBench": (kernelbench, TRIALS),
}
"""Name -> (rule, number of trials on new inputs)."""


def agreed(version: Version) -> dict[str, bool]:
    """By rule, whether it takes the wrong version for right."""
    right, wrong = version.subject(False), version.subject(True)
    problem = PROBLEMS[version.op]
    pairs = [(_answers(problem, wrong, trial), _answers(problem, right, trial)) for trial in range(TRIALS)]
    return {name: all(_same(rule, got, want) for got, want in pairs[:trials]) for name, (rule, trials) in RULES.items()}


def _answers(problem: Any, subject: Any, trial: int) -> list[np.ndarray]:
    try:
        return flat(problem(Numpy(subject), np.random.default_rng(trial)))
    except (ValueError, KeyError, IndexError, RuntimeError):
        return []  # a refusal or a crash is seen by every rule


def _same(rule: Callable[[np.ndarray, np.ndarray], bool], got: list[np.ndarray], want: list[np.ndarray]) -> bool:
    return len(got) == len(want) and all(rule(a, b) for a, b in zip(got, want, strict=True))
