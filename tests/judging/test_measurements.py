"""The table of built-in measurements: each entry whole, each seen on a planted pair, each red when it is broken."""

import dataclasses
import math
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.contract.limits import check_limits
from harness.judging.measure import measure
from harness.judging.pool import of_rows, value
from harness.measurements import table
from harness.measurements.entry import Measurement
from harness.measurements.pool import Pool
from harness.measurements.table import MEASUREMENTS

U = 2.0**-24
WANT = np.array([[3.0, 4.0], [1.0, 0.0]])
"""Root mean square sqrt(26/4)."""
GOT = WANT + np.array([[0.0, 0.0], [0.0, 2.0]])
"""One element 2 off, which moves the largest entry of one row of two."""
BASELINE = WANT + np.array([[0.0, 0.0], [1.0, 0.0]])
LENGTH = math.sqrt(26 / 4)
SPECIAL = (np.array([[1.0, 2.0]]), np.array([[np.nan, 2.0]]), np.array([[np.nan, 2.0]]))

PLANTED = {
    "max_abs_err": (GOT, WANT, 2.0),
    "rel_l2_err": (GOT, WANT, 1 / LENGTH),
    "err_ratio": (GOT, WANT, (1 / LENGTH) / (0.5 / LENGTH + U / 4)),
    "worst_ratio": (GOT, WANT, (1 / LENGTH) / (0.5 / LENGTH + U / 4)),
    "worst_ratio_max": (GOT, WANT, (2 / LENGTH) / (1 / LENGTH + U / 4)),
    "baseline_err": (GOT, WANT, 0.5 / LENGTH),
    "ulp": (np.array([1.0 + 3 * 2.0**-23]), np.array([1.0]), 3.0),
    "cosine": (np.array([3.0, 4.0]), np.array([4.0, 3.0]), 24 / 25),
    "argmax_agreement": (GOT, WANT, 0.5),
    "kl": (
        np.log(np.array([[0.5, 0.5]])),
        np.log(np.array([[0.25, 0.75]])),
        0.25 * math.log(0.5) + 0.75 * math.log(1.5),
    ),
    "nonfinite_mismatch": (SPECIAL[0], SPECIAL[1], 1.0),
    "mismatches": (GOT, WANT, 1.0),
}
"""Measurement -> (got, want, the number by hand), in float32."""


def pool(name):
    """The planted pair as a pool of one case, beside the baseline's row for it."""
    got, want, _ = PLANTED[name]
    special = SPECIAL[2] if MEASUREMENTS[name].replaces_errors else None
    baseline = special if special is not None else BASELINE if want is WANT else want

    def row(values, case):
        return measure("y", values, want, case=case, dtype="float32", extras=frozenset([name]), baseline=special)

    return Pool("float32", [row(got, 0)], [row(baseline, 0)])


def check(name):
    found, _ = value(name, pool(name))
    assert found == pytest.approx(PLANTED[name][2], rel=1e-12), name
    low, high = MEASUREMENTS[name].range
    assert low <= found <= high
    alone = of_rows(name, pool(name))
    if alone is not None:
        assert alone(pool(name).rows[0]) == pytest.approx(PLANTED[name][2], rel=1e-12)


def test_every_measurement_has_a_planted_pair():
    assert set(PLANTED) == set(MEASUREMENTS)


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_a_planted_pair_reads_what_was_counted_by_hand(name):
    check(name)


BROKEN = {
    "pooled": {"pooled": lambda pool: (math.nan, None)},
    "sums": {"sums": lambda got, want, dtype, baseline: {}},
    "of_row": {"of_row": lambda pool: lambda row: math.nan},
    "range": {"range": (-5.0, -4.0)},
}


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (name, field)
        for name, entry in MEASUREMENTS.items()
        for field in BROKEN
        if field in ("pooled", "range") or getattr(entry, field)
    ],
)
def test_the_planted_pair_sees_a_broken_entry(name, field, monkeypatch):
    monkeypatch.setitem(MEASUREMENTS, name, dataclasses.replace(MEASUREMENTS[name], **BROKEN[field]))
    with pytest.raises(AssertionError):
        check(name)


@pytest.mark.parametrize("name", [name for name, entry in MEASUREMENTS.items() if not entry.counts])
def test_the_worst_of_two_cases_counts_and_a_case_that_was_not_compared_spoils_the_number(name):
    _, want, alone = PLANTED[name]
    exact = measure("y", want, want, case=1, dtype="float32", extras=frozenset([name]))
    baseline = [*pool(name).baseline, {**pool(name).baseline[0], "case": 1}]
    both = Pool("float32", [exact, *pool(name).rows], baseline)
    pooled = {"err_ratio": alone / math.sqrt(2), "argmax_agreement": (alone + 1) / 2}
    assert value(name, both)[0] == pytest.approx(pooled.get(name, alone), rel=1e-12)
    lost = measure("y", np.full(want.shape, np.nan), want, case=1, dtype="float32", extras=frozenset([name]))
    if name not in ("baseline_err", "argmax_agreement"):  # what the baseline gave, and whole numbers, stay
        assert math.isnan(value(name, Pool("float32", [lost, *pool(name).rows], baseline))[0])


def test_counts_are_added_over_cases():
    for name in ("mismatches", "nonfinite_mismatch"):
        (row,) = pool(name).rows
        assert value(name, Pool("float32", [row, {**row, "case": 1}], []))[0] == 2


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Measurement)])
def test_an_entry_that_lacks_a_field_cannot_be_made(field):
    fields = {f.name: getattr(MEASUREMENTS["ulp"], f.name) for f in dataclasses.fields(Measurement)}
    assert Measurement(**fields)
    del fields[field]
    with pytest.raises(TypeError, match=field):
        Measurement(**fields)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("range", (1.0, 1.0)), ("range", (0.0, math.nan)), ("what", " "), ("reads", ""), ("replaces_errors", True)],
)
def test_an_entry_that_says_nothing_cannot_be_made(field, wrong):
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(MEASUREMENTS["ulp"], **{field: wrong})


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_validate_knows_each_range_and_who_needs_a_baseline(name):
    """A measurement that reads NaN without a baseline would accuse the candidate; the contract is refused instead."""
    entry = MEASUREMENTS[name]
    low, high = entry.range
    for bound in ({"gt": high}, {"lt": low}):
        found = list(check_limits({name: {**bound, "why": "w"}}, (), True)) if abs(*bound.values()) < math.inf else []
        assert len(found) == sum(abs(value) < math.inf for value in bound.values())
    without = [f.message for f in check_limits({name: {"le": 0.5, "why": "w"}}, (), False)]
    assert any("baseline" in text for text in without) == entry.needs_baseline
    rows = [measure("y", *PLANTED[name][:2], case=0, dtype="float32", extras=frozenset([name]))]
    assert math.isnan(value(name, Pool("float32", rows, []))[0]) == entry.needs_baseline


def test_the_table_is_read_without_numpy():
    heavy = "import sys; import harness.measurements.table; assert 'numpy' not in sys.modules"
    import subprocess

    subprocess.run([sys.executable, "-c", heavy], check=True)


def test_the_site_lists_each_measurement_and_the_falsifiers_own(monkeypatch):
    hook = Path(__file__).resolve().parents[2] / "docs" / "site_hooks" / "measurements.py"
    page = runpy.run_path(str(hook))["page"]()
    for name, entry in table.MEASUREMENTS.items():
        assert f"| `{name}` | {entry.what}; {entry.reads} |" in page
    assert "### training/perplexity" in page
