"""8-bit floating point: the reference is ml_dtypes and torch, byte by byte, and what has no one answer is refused."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import torch

from harness.candidates import torch as eager
from harness.reference.ops.float8 import FORMATS, from_float8, to_float8
from tests.support.laboratory import shipped_in, shows_its_power

KINDS = {"e4m3fn": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2}
CLAIMS, MUTANTS = shipped_in("ops", "float8")


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_is_ml_dtypes_number(kind: str) -> None:
    every = np.arange(256, dtype=np.uint8)
    want = every.view(KINDS[kind]).astype(np.float32)
    got = from_float8(every, kind)
    assert np.array_equal(np.isnan(got), np.isnan(want))
    right = ~np.isnan(want)
    assert got[right].tobytes() == want[right].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_become_ml_dtypes_and_torch_s_bytes(kind: str) -> None:
    stream = np.random.default_rng(0)
    finite = from_float8(np.arange(128, dtype=np.uint8), kind)
    finite = finite[np.isfinite(finite)]
    middle = ((finite[1:].astype(np.float64) + finite[:-1]) / 2).astype(np.float32)
    beside = [middle, np.nextafter(middle, 0), np.nextafter(middle, np.float32(1e9)), finite]
    spread = np.exp(stream.uniform(-20, 6, 5000)).astype(np.float32)
    x = np.concatenate([*beside, spread, [0.0, np.nan]]).astype(np.float32)
    x = np.concatenate([x, -x])
    with np.errstate(invalid="ignore"):
        assert to_float8(x, kind).tobytes()[:-1] == x.astype(KINDS[kind]).view(np.uint8).tobytes()[:-1]
    got = eager.to_float8(torch.from_numpy(x), kind).numpy()
    numbers = ~np.isnan(x)
    assert np.array_equal(got[numbers], to_float8(x, kind)[numbers])


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_format_cannot_hold_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="expected magnitudes up to"):
        to_float8(np.array([FORMATS[kind].largest * 1.01]), kind)
    with pytest.raises(ValueError, match="found kind 'e4m3', expected one of e4m3fn, e5m2"):
        to_float8(np.zeros(1), "e4m3")


@pytest.mark.parametrize("name", CLAIMS)
def test_the_default_candidate_survives_and_every_mutant_dies_by_a_wide_margin(name, tmp_path):
    shows_its_power(CLAIMS[name], MUTANTS[name], tmp_path)
