"""Raw sums of one pair other than those of the errors; `got`, `want` and the baseline's output have one shape.

`harness validate` imports this file and must not load NumPy, so each function that needs NumPy imports it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.measurements.row import Sums, blocks

if TYPE_CHECKING:
    import numpy as np


def ulp(got: np.ndarray, want: np.ndarray, dtype: str, _: np.ndarray | None) -> Sums:
    """The largest error of an element, in units in the last place."""
    import numpy as np

    from harness.dtypes import FORMATS

    fmt, worst = FORMATS[dtype], 0.0
    for _start, g, w in blocks(got, want):
        exponent = np.frexp(np.maximum(np.abs(w), fmt.min_normal))[1] - 1
        steps = np.abs(g - w) / np.ldexp(1.0, exponent - fmt.mantissa)
        # np.maximum keeps a NaN, which max() may drop. Elements with a non-finite reference count as 0.
        worst = float(np.maximum(worst, np.where(np.isfinite(w), steps, 0.0).max(initial=0.0)))
    return {"ulp": worst}


def cosine(got: np.ndarray, want: np.ndarray, dtype: str, _: np.ndarray | None) -> Sums:
    """The cosine of the angle between the two, each as one long vector; NaN if one of them is zero."""
    dot = got_sq = want_sq = 0.0
    for _start, g, w in blocks(got, want):
        dot, got_sq, want_sq = dot + float(g @ w), got_sq + float(g @ g), want_sq + float(w @ w)
    norm = math.sqrt(got_sq) * math.sqrt(want_sq)
    return {"cosine": dot / norm if norm > 0 else math.nan}


def agree(got: np.ndarray, want: np.ndarray, dtype: str, _: np.ndarray | None) -> Sums:
    """How many rows along the last axis have their largest entry at the same index."""
    same = got.argmax(axis=-1) == want.argmax(axis=-1)
    return {"agree": int(same.sum()), "rows": int(same.size)}


def kl(got: np.ndarray, want: np.ndarray, dtype: str, _: np.ndarray | None) -> Sums:
    """Kullback-Leibler divergence from reference to candidate of softmax rows on the last axis: mean, largest; nats."""
    import numpy as np

    def log_softmax(x: np.ndarray) -> np.ndarray:
        wide = x.astype(np.float64)
        shifted = wide - wide.max(axis=-1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))

    p, q = log_softmax(want), log_softmax(got)
    divergence = np.sum(np.exp(p) * (p - q), axis=-1)
    return {"kl": float(divergence.mean()), "kl_max": float(divergence.max())}


def mismatches(got: np.ndarray, want: np.ndarray, dtype: str, _: np.ndarray | None) -> Sums:
    """How many elements differ from the reference rounded to the dtype; NaN equals NaN."""
    import numpy as np

    from harness.dtypes import round_to

    rounded = round_to(want, dtype).astype(got.dtype)
    return {"mismatches": int((~((got == rounded) | (np.isnan(got) & np.isnan(rounded)))).sum())}


def nonfinite(got: np.ndarray, want: np.ndarray, dtype: str, baseline: np.ndarray | None) -> Sums:
    """The rule for special values, on rows along the last axis.

    An element that is finite in both the rounded reference and the baseline must be finite. A row in which both hold
    a non-finite value must hold one. If reference and baseline disagree, nothing is required.
    """
    import numpy as np

    from harness.dtypes import round_to

    assert baseline is not None
    rounded = round_to(want, dtype)
    finite = np.isfinite(rounded) & np.isfinite(baseline) & ~np.isfinite(got)
    spoilt = (~np.isfinite(rounded)).any(-1) & (~np.isfinite(baseline)).any(-1)
    swallowed = spoilt & np.isfinite(got).all(-1)
    row: Sums = {"nonfinite_mismatch": int(finite.sum() + swallowed.sum())}
    if row["nonfinite_mismatch"]:
        at = np.unravel_index(int((finite | swallowed[..., None]).argmax()), want.shape)
        row |= {"at": [int(i) for i in at], "got": float(got[at]), "want": float(want[at])}
    return row
