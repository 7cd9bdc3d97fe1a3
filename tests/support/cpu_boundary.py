"""Wrap an implementation in the boundary through which falsifiers call it, on the CPU."""

from __future__ import annotations

from typing import Any

from harness.subject.boundary import Boundary
from harness.subject.trace import Trace


def boundary(target: Any, dtype: str = "float32", trace: Trace | None = None, **options: Any) -> Boundary:
    """The boundary of an implementation; `trace` notes what it did wrong."""
    return Boundary(target, role="candidate", dtype=dtype, device="cpu", trace=trace or Trace(), **options)
