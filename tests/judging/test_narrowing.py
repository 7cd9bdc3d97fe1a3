"""Which inputs a candidate takes in float32 although float64 was asked: used, and used without their last digits."""

from types import SimpleNamespace

import numpy as np
import pytest

from harness.contract.cases import CaseSpec
from harness.observation import Observation
from harness.trial.experiment import Experiment
from harness.trial.narrowing import narrowed


def seen(subject, case):
    a, b, tokens = case.normal("a", (4, 3)), case.normal("b", (4, 3)), case.integers("tokens", (3,), 0, 9)
    return Observation(out=(subject.op(a, b, tokens), a))


def narrowed_by(op, dtype="float64"):
    case = CaseSpec(index=0, seed=3, dtype=dtype, params={})
    return narrowed(
        Experiment(
            falsifier=seen,
            given={},
            cases=[case],
            extras=frozenset(),
            device="cpu",
            candidate=SimpleNamespace(op=op, ARRAYS="numpy"),
        )
    )


@pytest.mark.parametrize(
    ("op", "names"),
    [
        (lambda a, b, tokens: a + b, []),
        (lambda a, b, tokens: a.astype(np.float32) + b, ["a"]),
        (lambda a, b, tokens: a.astype(np.float32).astype(np.float64) + b.astype(np.float32), ["a", "b"]),
        (lambda a, b, tokens: (a + b).astype(np.float32).astype(np.float64), []),
        (lambda a, b, tokens: a, []),
        (lambda a, b, tokens: np.zeros_like(a), []),
    ],
    ids=["float64", "one", "both", "only the result", "one unused", "none used"],
)
def test_an_input_counts_when_it_is_used_without_the_digits_beyond_float32(op, names):
    assert narrowed_by(op) == names


def test_other_dtypes_have_no_such_digits():
    assert narrowed_by(lambda a, b, tokens: a.astype(np.float16).astype(a.dtype), dtype="float32") == []
