"""Turning one pair (got, want) into a row of raw sums that the judge can pool.

A row holds sums, maxima and counts, never a verdict; floats that JSON cannot carry
are strings ("nan", "inf", "-inf"). Differences are taken in float64, in blocks that
fit a cache: a float32 difference has reported an error of exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from harness.dtypes import FORMATS, Format, round_to

Row = dict[str, Any]
BLOCK = 1 << 15
EXTRAS = ("ulp", "cosine", "argmax_agreement", "kl", "mismatches")


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
    """One row: what `got` is against `want`, both of any equal shape, in the case's dtype.

    Units:  err_sq and ref_sq are sums of squares, n their count; err_max is absolute.
    `extras` names the measurements beyond the errors that the claim limits. Where `nonfinite_mismatch`
    is among them, `baseline` is what the baseline gave for the same case.
    """
    row: Row = {"case": case, "pair": pair, "dtype": dtype, "n": int(want.size)}
    if got.shape != want.shape:
        return {**row, "shape": f"found {got.shape}, expected {want.shape}"}
    if want.dtype.kind != "f":
        return {**row, **_exact(got, want)}
    if got.dtype.kind != "f":
        return {**row, "kind": f"found {got.dtype}, expected floating point"}
    if "nonfinite_mismatch" in extras and baseline is not None:
        return {**row, **_special(got, want, baseline, dtype)}
    row.update(_errors(got, want, FORMATS[dtype]))
    for name in EXTRAS:
        if name in extras:
            row.update(_EXTRA[name](got, want, dtype))
    return row


def encode(value: float) -> float | str:
    """A float as JSON can carry it."""
    return float(value) if math.isfinite(value) else str(float(value))


def _exact(got: np.ndarray, want: np.ndarray) -> Row:
    differs = np.asarray(got != want)
    out: Row = {"exact": True, "mismatches": int(differs.sum())}
    if out["mismatches"]:
        at = np.unravel_index(int(differs.argmax()), want.shape)
        out |= {"at": [int(i) for i in at], "got": _plain(got[at]), "want": _plain(want[at])}
    return out


def _plain(value: Any) -> float | int | str:
    return encode(float(value)) if np.asarray(value).dtype.kind == "f" else int(value)


def _blocks(got: np.ndarray, want: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    flat_got, flat_want = got.reshape(-1), want.reshape(-1)
    for start in range(0, want.size, BLOCK):
        part = slice(start, start + BLOCK)
        yield start, flat_got[part].astype(np.float64), flat_want[part].astype(np.float64)


def _errors(got: np.ndarray, want: np.ndarray, fmt: Format) -> Row:
    """Sums over the elements inside the domain: finite reference, not within 16 u of overflow."""
    edge = fmt.max * (1 - 16 * fmt.unit_roundoff)
    err_sq = ref_sq = 0.0
    err_max, ref_max, where, count, nonfinite = -1.0, 0.0, 0, 0, 0
    single = fmt.name == "float64"
    for start, g, w in _blocks(got, want):
        inside = np.abs(w) <= edge
        bad = inside & ~np.isfinite(g)
        nonfinite += int(bad.sum())
        with np.errstate(over="ignore"):
            single = single and bool(np.array_equal(g, g.astype(np.float32), equal_nan=True))
        error = np.where(inside & ~bad, np.abs(g - np.where(inside, w, 0.0)), 0.0)
        kept = np.where(inside, w, 0.0)
        with np.errstate(over="ignore"):  # written down as infinite, and no agreement
            err_sq += float(error @ error)
            ref_sq += float(kept @ kept)
        count += int(inside.sum())
        ref_max = max(ref_max, float(np.abs(kept).max(initial=0.0)))
        score = np.where(bad, np.inf, error)
        if score.size and score.max() > err_max:
            err_max, where = float(score.max()), start + int(score.argmax())
    row: Row = {
        "n": count,
        "err_sq": encode(err_sq),
        "ref_sq": encode(ref_sq),
        "err_max": encode(max(err_max, 0.0)),
        "ref_max": ref_max,
    }
    if single:
        row["single"] = True  # every value is a float32 number: float64 was asked for, and not given
    if not count:
        row["err_max"] = "nan"  # nothing was compared, and nothing compared is no agreement
    if nonfinite:
        row |= {"nonfinite": nonfinite, "err_sq": "nan", "err_max": "nan"}
    if want.size:
        at = np.unravel_index(where, want.shape)
        row |= {"at": [int(i) for i in at], "got": encode(float(got[at])), "want": encode(float(want[at]))}
    return row


def _ulp(got: np.ndarray, want: np.ndarray, dtype: str) -> Row:
    fmt = FORMATS[dtype]
    worst = 0.0
    for _, g, w in _blocks(got, want):
        exponent = np.frexp(np.maximum(np.abs(w), fmt.min_normal))[1] - 1
        worst = max(worst, float((np.abs(g - w) / np.ldexp(1.0, exponent - fmt.mantissa)).max(initial=0.0)))
    return {"ulp": encode(worst)}


def _cosine(got: np.ndarray, want: np.ndarray, dtype: str) -> Row:
    dot = got_sq = want_sq = 0.0
    for _, g, w in _blocks(got, want):
        dot, got_sq, want_sq = dot + float(g @ w), got_sq + float(g @ g), want_sq + float(w @ w)
    norm = math.sqrt(got_sq) * math.sqrt(want_sq)
    return {"cosine": encode(dot / norm if norm > 0 else math.nan)}


def _argmax_agreement(got: np.ndarray, want: np.ndarray, dtype: str) -> Row:
    agree = np.argmax(got, axis=-1) == np.argmax(want, axis=-1)
    return {"agree": int(agree.sum()), "rows": int(agree.size)}


def _kl(got: np.ndarray, want: np.ndarray, dtype: str) -> Row:
    p, q = _log_softmax(want), _log_softmax(got)
    divergence = np.sum(np.exp(p) * (p - q), axis=-1)
    return {"kl": encode(float(divergence.mean())), "kl_max": encode(float(divergence.max()))}


def _log_softmax(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    shifted = x - x.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _mismatches(got: np.ndarray, want: np.ndarray, dtype: str) -> Row:
    rounded = round_to(want, dtype).astype(got.dtype)
    return {"mismatches": int((~((got == rounded) | (np.isnan(got) & np.isnan(rounded)))).sum())}


def _special(got: np.ndarray, want: np.ndarray, baseline: np.ndarray, dtype: str) -> Row:
    """The rule for special values, on rows along the last axis.

    An element finite in both the rounded reference and the baseline must be finite; a row in which
    both hold a non-finite value must hold one. Where the two disagree, no claim is made.
    """
    rounded = round_to(want, dtype)
    finite = np.isfinite(rounded) & np.isfinite(baseline) & ~np.isfinite(got)
    spoilt = (~np.isfinite(rounded)).any(-1) & (~np.isfinite(baseline)).any(-1)
    swallowed = spoilt & np.isfinite(got).all(-1)
    # Errors beside infinities mean nothing: the row counts through this one measurement.
    row: Row = {"exact": True, "nonfinite_mismatch": int(finite.sum() + swallowed.sum())}
    if row["nonfinite_mismatch"]:
        at = np.unravel_index(int((finite | swallowed[..., None]).argmax()), want.shape)
        row |= {"at": [int(i) for i in at], "got": encode(float(got[at])), "want": encode(float(want[at]))}
    return row


_EXTRA = {
    "ulp": _ulp,
    "cosine": _cosine,
    "argmax_agreement": _argmax_agreement,
    "kl": _kl,
    "mismatches": _mismatches,
}
