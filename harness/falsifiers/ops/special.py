"""NaN, infinities and overflow: what is finite stays finite, what is not stays visible, no row spoils another."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.builder import build
from harness.observation import Observation


def special_values(subject: Any, case: Case, *, op: str, rows: int, length: int) -> Observation:
    """One call of `op` on inputs that hold NaN, +Inf, -Inf and values whose square overflows, at known places.

    The last axis of the pair is one row: the reduced axis, or one element of an elementwise op.
    """
    call = build(case, (f"{op}_special",), rows=rows, length=length)
    got = getattr(subject, op)(*call.args, **call.options)
    with np.errstate(all="ignore"):
        wide = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in call.args]
        want = case.once(call.reference, *wide, **call.options)[0]
    return Observation(out=(got, want))
