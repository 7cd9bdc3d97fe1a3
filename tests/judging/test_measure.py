"""Rows of raw sums, and what they must never hide."""

import json
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.dtypes import FORMATS, round_mantissa, round_to
from harness.judging.measure import measure
from harness.judging.pool import value
from harness.measurements.pool import Pool
from harness.measurements.table import MEASUREMENTS

RNG = np.random.default_rng(0)


def row(got, want, dtype="float32", extras=()):
    return measure("out", np.asarray(got), np.asarray(want), case=0, dtype=dtype, extras=frozenset(extras))


def read(name, got, want, baseline=None, dtype="float32", scale=None, extras=()):
    rows = [row(got, want, dtype, extras)]
    base = [row(want if baseline is None else baseline, want, dtype, extras)]
    return value(name, Pool(dtype, rows, base, scale))[0]


def test_differences_are_taken_in_float64():
    want = np.array([1.0, 2.0])
    got = (want + 2**-30).astype(np.float64)
    assert read("max_abs_err", got, want) == 2**-30


def test_the_worst_element_is_named_with_both_values():
    want = RNG.standard_normal((3, 70_000))
    got = want.copy()
    got[2, 69_001] += 5.0
    found = row(got, want)
    assert found["at"] == [2, 69_001]
    assert found["got"] - found["want"] == pytest.approx(5.0)
    assert found["err_max"] == pytest.approx(5.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_element_that_is_not_finite_spoils_every_measurement(bad):
    want = RNG.standard_normal(100)
    got = want.copy()
    got[17] = bad
    found = row(got, want)
    assert found["nonfinite"] == 1
    assert found["at"] == [17]
    json.dumps(found, allow_nan=False)
    for name in ("max_abs_err", "rel_l2_err", "err_ratio", "worst_ratio", "worst_ratio_max"):
        assert math.isnan(read(name, got, want)), name


@pytest.mark.parametrize("size", [(1e200, 1.0), (1e200, 1e200), (1.0, 1e200)])
def test_squares_that_overflow_are_written_down_and_pass_nothing(size):
    want = size[0] * RNG.standard_normal(10)
    got = want + size[1]
    json.dumps(row(got, want, dtype="float64"), allow_nan=False)
    assert not read("rel_l2_err", got, want, dtype="float64") <= 1e-3
    assert not read("err_ratio", got, want, dtype="float64") <= 2


def test_another_shape_is_reported_and_measures_nothing():
    found = row(np.zeros((3, 2)), np.zeros((2, 3)))
    assert found["shape"] == "found (3, 2), expected (2, 3)"
    assert math.isnan(value("max_abs_err", Pool("float32", [found], [found]))[0])


@pytest.mark.parametrize("name", sorted(set(MEASUREMENTS) - {"mismatches"}))
def test_an_empty_comparison_is_not_a_pass(name):
    number = read(name, np.zeros((0, 4)), np.zeros((0, 4)))
    assert not number <= 1e9
    assert not number >= -1e9


def test_no_rows_measure_nothing():
    assert math.isnan(value("max_abs_err", Pool("float32", [], []))[0])


def test_integers_are_compared_exactly():
    assert read("mismatches", np.array([1, 2, 3]), np.array([1, 2, 4])) == 1
    assert row(np.array([1, 2, 3]), np.array([1, 2, 4]))["at"] == [2]
    assert math.isnan(read("max_abs_err", np.array([1]), np.array([1])))


def test_elements_near_overflow_are_outside_the_domain():
    want = np.array([1.0, 65504.0, 7e4])
    found = row(np.array([1.0, np.inf, np.inf]), want, "float16")
    assert found["n"] == 1
    assert "nonfinite" not in found


def test_ratio_is_one_for_the_baseline_and_grows_with_the_error():
    want = RNG.standard_normal(1000)
    baseline = want.astype(np.float32)
    assert 0.4 < read("err_ratio", baseline, want, baseline) < 1
    worse = baseline + np.float32(1e-4) * RNG.standard_normal(1000).astype(np.float32)
    assert read("err_ratio", worse, want, baseline) > 500


def test_scale_keeps_tiny_references_from_exploding():
    want = np.full(10, 1e-12)
    assert read("rel_l2_err", want + 1e-8, want) > 1e3
    assert read("rel_l2_err", want + 1e-8, want, scale=1.0) == pytest.approx(1e-8)


def test_extras():
    want = RNG.standard_normal((5, 7))
    assert read("cosine", -want, want, extras=["cosine"]) == pytest.approx(-1)
    assert read("cosine", 0 * want, want, extras=["cosine"]) != read("cosine", want, want, extras=["cosine"])
    assert read("argmax_agreement", want[:, ::-1], want, extras=["argmax_agreement"]) < 1
    assert read("kl", want, want, extras=["kl"]) == pytest.approx(0, abs=1e-12)
    assert read("kl", want * 3, want, extras=["kl"]) > 0.1
    one = np.float32(1.0)
    assert read("ulp", np.array([np.nextafter(one, np.float32(2))]), np.array([1.0]), extras=["ulp"]) == 1
    assert read("mismatches", np.array([np.nan, 1.0]), np.array([np.nan, 2.0]), extras=["mismatches"]) == 1


@pytest.mark.parametrize(
    ("got", "mismatches"),
    [
        ([[np.nan, 1.0], [1.0, 2.0]], 0),
        ([[1.0, np.inf], [1.0, 2.0]], 0),
        ([[0.0, 1.0], [1.0, 2.0]], 1),
        ([[np.nan, 1.0], [np.nan, 2.0]], 1),
        ([[np.nan, np.nan], [1.0, 2.0]], 1),
    ],
    ids=["as the reference", "elsewhere in the row", "swallowed", "spread to another row", "spread in the row"],
)
def test_special_values_are_judged_beside_the_reference_and_the_baseline(got, mismatches):
    want, baseline = np.array([[np.nan, 1.0], [1.0, 2.0]]), np.array([[np.nan, 1.0], [1.0, 2.0]])
    if got[0][1] == np.inf:
        baseline = np.array([[np.nan, np.inf], [1.0, 2.0]])
    extras = frozenset(["nonfinite_mismatch"])
    found = measure("y", np.array(got), want, case=0, dtype="float32", extras=extras, baseline=baseline)
    assert found["nonfinite_mismatch"] == mismatches
    assert value("nonfinite_mismatch", Pool("float32", [found], [found]))[0] == mismatches


def test_where_reference_and_baseline_disagree_no_claim_is_made():
    want, baseline, extras = np.array([[np.inf]]), np.array([[3e38]]), frozenset(["nonfinite_mismatch"])
    for got in (np.inf, np.nan, 1.0):
        found = measure("y", np.array([[got]]), want, case=0, dtype="float32", extras=extras, baseline=baseline)
        assert found["nonfinite_mismatch"] == 0


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=50))
def test_bfloat16_rounding_is_that_of_ml_dtypes(values):
    array = np.array(values, dtype=np.float32)
    with np.errstate(over="ignore"):
        expected = array.astype(ml_dtypes.bfloat16).astype(np.float32)
    assert np.array_equal(round_to(array, "bfloat16"), expected)


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=50))
def test_rounding_the_mantissa_to_23_bits_is_float32_in_its_normal_range(values):
    array = np.array(values)
    normal = (np.abs(array) > 1e-37) & (np.abs(array) < 3e38)
    assert np.array_equal(round_mantissa(array, 23)[normal], array[normal].astype(np.float32))


def test_formats_agree_with_numpy_and_ml_dtypes():
    for name, found in (
        ("float64", np.finfo(np.float64)),
        ("float32", np.finfo(np.float32)),
        ("float16", np.finfo(np.float16)),
    ):
        assert FORMATS[name].unit_roundoff == float(found.eps) / 2
        assert (FORMATS[name].max, FORMATS[name].min_normal) == (float(found.max), float(found.smallest_normal))
    brain = ml_dtypes.finfo(ml_dtypes.bfloat16)
    assert FORMATS["bfloat16"].unit_roundoff == float(brain.eps) / 2
    assert (FORMATS["bfloat16"].max, FORMATS["bfloat16"].min_normal) == (float(brain.max), float(brain.smallest_normal))
