"""Rounding of float32 weights on loading: what the falsifier plants, what reaches the subject, and what it counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from harness.candidates.torch.model import decoder as candidate
from harness.case import Case
from harness.dtypes import AsStored, round_to
from harness.falsifiers.model.loading import _near_ties, rounded_at_load
from tests.support.cpu_boundary import boundary

KINDS = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}


def counted(target: Any, dtype: str, tensor: str) -> float:
    return float(
        rounded_at_load(boundary(target, dtype), Case(dtype=dtype), tensor=tensor).scalars["rounded_otherwise"]
    )


@pytest.mark.parametrize("dtype", KINDS)
def test_the_planted_weights_hold_ties_which_are_rounded_as_ml_dtypes_does(dtype: str) -> None:
    planted = _near_ties(Case(dtype=dtype), (400,))
    rounded = planted.astype(KINDS[dtype]).astype(np.float32)
    assert np.array_equal(round_to(planted, dtype), rounded)
    steps = np.abs(planted - rounded) / np.spacing(np.abs(rounded).astype(KINDS[dtype])).astype(np.float32)
    assert (steps == 0.5).sum() >= 90


@pytest.mark.parametrize("tensor", ["head", "embedding", "norm"])
@pytest.mark.parametrize("dtype", KINDS)
def test_a_candidate_that_cuts_bits_off_is_counted(dtype: str, tensor: str) -> None:
    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        kept = {"bfloat16": 16, "float16": 13}[dtype]
        cut = {n: (w.view(torch.int32) >> kept << kept).view(torch.float32) for n, w in weights.items()}
        return candidate.load(config, cut, dtype=dtype, device=device)

    assert counted(candidate, dtype, tensor) == 0
    assert counted(SimpleNamespace(ARRAYS="torch", load=load), dtype, tensor) >= 1000


def test_a_stored_array_reaches_the_subject_in_its_own_dtype() -> None:
    seen = []
    subject = SimpleNamespace(ARRAYS="torch", take=lambda x: seen.append(x.dtype))
    plain = np.ones(3, np.float32)
    for array in (plain, plain.view(AsStored)):
        boundary(subject, "bfloat16").take(array)
    assert seen == [torch.bfloat16, torch.float32]
