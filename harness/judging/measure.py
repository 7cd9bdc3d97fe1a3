"""Reduce one pair (got, want) to a row of raw sums that the judge can pool.

A row holds sums, maxima and counts, never a verdict; floats that JSON cannot represent
are strings ("nan", "inf", "-inf"). Differences are computed in float64, because in float32
they can round to an error of exactly 0, and in blocks that fit a cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.dtypes import FORMATS, Format
from harness.measurements.row import Row, Sums, blocks, encode
from harness.measurements.table import MEASUREMENTS


def measure(
    pair: str,
    got: np.ndarray,
    want: np.ndarray,
    *,
    case: int,
    dtype: str,
    extras: frozenset[str],
    baseline: np.ndarray | None = None,
) -> Row:
    """Compare `got` with `want`, both of any one shape, in the case's dtype; returns one row.

    Units:  err_sq and ref_sq are sums of squares, n their count; err_max is absolute.
    `extras` names the measurements that the claim limits; each that needs raw sums of its own adds them to the row.
    `baseline` is the baseline's output for the same case, given if one of these measurements replaces the errors.
    """
    row: Row = {"case": case, "pair": pair, "dtype": dtype, "n": int(want.size)}
    if got.shape != want.shape:
        return {**row, "shape": f"found {got.shape}, expected {want.shape}"}
    if want.dtype.kind != "f":
        return _joined(row, _exact(got, want))
    if got.dtype.kind != "f":
        return {**row, "kind": f"found {got.dtype}, expected floating point"}
    own = [entry for name, entry in MEASUREMENTS.items() if name in extras and entry.sums]
    instead = [entry for entry in own if entry.replaces_errors]
    if instead and baseline is not None:
        row["exact"] = True  # with infinities, errors have no meaning: only these sums are used
    else:
        row = _joined(row, _errors(got, want, FORMATS[dtype]))
        instead = [entry for entry in own if not entry.replaces_errors]
    for entry in instead:
        assert entry.sums is not None
        found = entry.sums(got, want, dtype, baseline)
        row = _joined(row, {key: encode(sum_) if isinstance(sum_, float) else sum_ for key, sum_ in found.items()})
    return row


def _joined(row: Row, sums: Sums) -> Row:
    """Add sums to a row. The type Row does not list the keys of single measurements, hence the Any."""
    found: Any = {**row, **sums}
    joined: Row = found
    return joined


def _exact(got: np.ndarray, want: np.ndarray) -> Sums:
    differs = np.asarray(got != want)
    out: Sums = {"exact": True, "mismatches": int(differs.sum())}
    if out["mismatches"]:
        at = np.unravel_index(int(differs.argmax()), want.shape)
        out |= {"at": [int(i) for i in at], "got": _plain(got[at]), "want": _plain(want[at])}
    return out


def _plain(value: Any) -> float | int | str:
    return encode(float(value)) if np.asarray(value).dtype.kind == "f" else int(value)


def _errors(got: np.ndarray, want: np.ndarray, fmt: Format) -> Sums:
    """Sum over the elements whose reference is finite and not within 16 u of overflow."""
    edge = fmt.max * (1 - 16 * fmt.unit_roundoff)
    err_sq = ref_sq = 0.0
    err_max, ref_max, where, count, nonfinite = -1.0, 0.0, 0, 0, 0
    single = fmt.name == "float64"
    for start, g, w in blocks(got, want):
        inside = np.abs(w) <= edge
        bad = inside & ~np.isfinite(g)
        nonfinite += int(bad.sum())
        with np.errstate(over="ignore"):
            single = single and bool(np.array_equal(g, g.astype(np.float32), equal_nan=True))
        error = np.where(inside & ~bad, np.abs(g - np.where(inside, w, 0.0)), 0.0)
        kept = np.where(inside, w, 0.0)
        with np.errstate(over="ignore"):  # an overflow is recorded as infinity and passes no limit
            err_sq += float(error @ error)
            ref_sq += float(kept @ kept)
        count += int(inside.sum())
        ref_max = max(ref_max, float(np.abs(kept).max(initial=0.0)))
        score = np.where(bad, np.inf, error)
        if score.size and score.max() > err_max:
            err_max, where = float(score.max()), start + int(score.argmax())
    row: Sums = {
        "n": count,
        "err_sq": encode(err_sq),
        "ref_sq": encode(ref_sq),
        "err_max": encode(max(err_max, 0.0)),
        "ref_max": ref_max,
    }
    if single:
        row["single"] = True  # every value is a float32 number, though the case is in float64
    if not count:
        row["err_max"] = "nan"  # no element was compared, so no limit may pass
    if nonfinite:
        row |= {"nonfinite": nonfinite, "err_sq": "nan", "err_max": "nan"}
    if want.size:
        at = np.unravel_index(where, want.shape)
        row |= {"at": [int(i) for i in at], "got": encode(float(got[at])), "want": encode(float(want[at]))}
    return row
