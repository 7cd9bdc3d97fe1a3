"""The table of built-in measurements. The engine, its messages and the docs take all they need from its entries.

A new measurement is a new entry and the functions that it names. `harness validate` imports this file and must not
load NumPy, so each function that needs NumPy imports it.
"""

from __future__ import annotations

import math
from math import inf

from harness.measurements import sums
from harness.measurements.entry import Measurement
from harness.measurements.pool import OfRow, Pool, Value
from harness.measurements.row import number


def _err_ratio(pool: Pool) -> Value:
    unit = pool.pooled_baseline(pool.rms_error) + pool.slack
    return pool.pooled(pool.rms_error) / unit, pool.worst(pool.rms_error)[1]


def _err_ratio_share(pool: Pool) -> OfRow:
    """The judge pools `err_ratio`; for a single row it is the row's own error in the same unit."""
    unit = pool.pooled_baseline(pool.rms_error) + pool.slack
    return lambda row: pool.rms_error(row) / unit


def _least_cosine(pool: Pool) -> Value:
    found, row = pool.worst(lambda row: -number(row, "cosine"))
    return -found, row


def _agreement(pool: Pool) -> Value:
    compared = [(number(row, "agree"), number(row, "rows"), row) for row in pool.rows if "agree" in row]
    total = sum(rows for _, rows, _ in compared)
    if not total or len(compared) < len(pool.rows):  # a row whose shape is wrong has no such sums
        return math.nan, next((row for row in pool.rows if "agree" not in row), pool.rows[0])
    _, _, worst = min(compared, key=lambda each: each[0] / max(each[1], 1))
    return sum(agree for agree, _, _ in compared) / total, worst


def _of(key: str) -> OfRow:
    """A function from a row to its number under `key`."""
    return lambda row: number(row, key)


MEASUREMENTS = {
    "max_abs_err": Measurement(
        what=(
            "the largest absolute difference between the candidate's output and the float64 reference, over all cases"
        ),
        reads=(
            "0 is exact; it has the units of the output, so a limit on it means something for one range of values only"
        ),
        range=(0, inf),
        needs_baseline=False,
        alone=True,
        counts=False,
        sums=None,
        replaces_errors=False,
        pooled=lambda pool: pool.worst(_of("err_max")),
        of_row=lambda pool: _of("err_max"),
    ),
    "rel_l2_err": Measurement(
        what="the root mean square of the error, divided by that of the reference, in the worst case",
        reads=(
            "about 1e-16 is float64 round-off, 1e-7 float32, 1e-3 float16, 1e-2 bfloat16; 1 means an error as large "
            "as the reference"
        ),
        range=(0, inf),
        needs_baseline=False,
        alone=True,
        counts=False,
        sums=None,
        replaces_errors=False,
        pooled=lambda pool: pool.worst(pool.rms_error),
        of_row=lambda pool: pool.rms_error,
    ),
    "err_ratio": Measurement(
        what=(
            "the candidate's error, pooled over all cases of a dtype, divided by that of the trusted baseline in "
            "the same dtype; both errors are against float64"
        ),
        reads=(
            "1 is as exact as the baseline; correct code that adds in another order stays near 1, a bug reaches "
            "thousands"
        ),
        range=(0, inf),
        needs_baseline=True,
        alone=False,
        counts=False,
        sums=None,
        replaces_errors=False,
        pooled=_err_ratio,
        of_row=_err_ratio_share,
    ),
    "worst_ratio": Measurement(
        what="the same ratio for the worst single case, in root mean square",
        reads="it finds a bug of one shape or one setting, which pooling would dilute",
        range=(0, inf),
        needs_baseline=True,
        alone=True,
        counts=False,
        sums=None,
        replaces_errors=False,
        pooled=lambda pool: pool.worst(pool.ratio(pool.rms_error)),
        of_row=lambda pool: pool.ratio(pool.rms_error),
    ),
    "worst_ratio_max": Measurement(
        what="the same ratio for the worst single element of the worst case",
        reads="it finds a bug in one row or one element, which the mean of a case would dilute",
        range=(0, inf),
        needs_baseline=True,
        alone=True,
        counts=False,
        sums=None,
        replaces_errors=False,
        pooled=lambda pool: pool.worst(pool.ratio(pool.max_error)),
        of_row=lambda pool: pool.ratio(pool.max_error),
    ),
    "baseline_err": Measurement(
        what="the trusted baseline's own error against the float64 reference",
        reads=(
            "above the limit (64 unit round-offs if none is written) the claim is UNSOUND: such a baseline cannot "
            "decide whether a candidate is right"
        ),
        range=(0, inf),
        needs_baseline=True,
        alone=False,
        counts=False,
        sums=None,
        replaces_errors=False,
        pooled=lambda pool: (pool.pooled_baseline(pool.rms_error), None),
        of_row=None,
    ),
    "ulp": Measurement(
        what="the largest error in units in the last place: steps from one number of the dtype to the next",
        reads="0.5 is correctly rounded, 1 is one number off",
        range=(0, inf),
        needs_baseline=False,
        alone=True,
        counts=False,
        sums=sums.ulp,
        replaces_errors=False,
        pooled=lambda pool: pool.worst(_of("ulp")),
        of_row=lambda pool: _of("ulp"),
    ),
    "cosine": Measurement(
        what=("the cosine of the angle between output and reference, both as one long vector; the worst case counts"),
        reads="1 is the same direction, whatever the lengths; 0 is a right angle",
        range=(-1, 1),
        needs_baseline=False,
        alone=True,
        counts=False,
        sums=sums.cosine,
        replaces_errors=False,
        pooled=_least_cosine,
        of_row=None,
    ),
    "argmax_agreement": Measurement(
        what="the share of rows whose largest entry is at the same place as the reference's, over all cases",
        reads="1 means that every next token is the same",
        range=(0, 1),
        needs_baseline=False,
        alone=True,
        counts=False,
        sums=sums.agree,
        replaces_errors=False,
        pooled=_agreement,
        of_row=None,
    ),
    "kl": Measurement(
        what=(
            "the Kullback-Leibler divergence from the reference's distribution (softmax of its rows) to the "
            "candidate's, in nats, mean over rows; the worst case counts"
        ),
        reads="0 is the same distribution",
        range=(-inf, inf),  # round-off can make it negative
        needs_baseline=False,
        alone=True,
        counts=False,
        sums=sums.kl,
        replaces_errors=False,
        pooled=lambda pool: pool.worst(_of("kl")),
        of_row=lambda pool: _of("kl"),
    ),
    "nonfinite_mismatch": Measurement(
        what=(
            "how many elements are NaN or infinite where reference and baseline are both finite, plus how many "
            "rows are finite where both hold a NaN or an infinity"
        ),
        reads="0 is the only right answer; elements on which reference and baseline disagree are not counted",
        range=(0, inf),
        needs_baseline=True,
        alone=True,
        counts=True,
        sums=sums.nonfinite,
        replaces_errors=True,
        pooled=lambda pool: pool.total(_of("nonfinite_mismatch")),
        of_row=lambda pool: _of("nonfinite_mismatch"),
    ),
    "mismatches": Measurement(
        what="how many elements differ from the reference rounded to the dtype: ids, masks, bytes, bits",
        reads="0 means that all elements are equal",
        range=(0, inf),
        needs_baseline=False,
        alone=True,
        counts=True,
        sums=sums.mismatches,
        replaces_errors=False,
        pooled=lambda pool: pool.total(_of("mismatches")),
        of_row=lambda pool: _of("mismatches"),
    ),
}
