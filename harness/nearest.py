"""The nearest valid name, for messages about a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(found: str, valid: Iterable[str]) -> str:
    """`; did you mean `x`?`, or nothing when none is near."""
    names = list(valid)
    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(found.lower(), folded, 1, cutoff=0.6)
    return f"; did you mean `{folded[close[0]]}`?" if close else ""
