"""What the boundary records during one case, for the implicit limits."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from harness.subject.arrays import plain, same_bytes
from harness.subject.traffic import Traffic


class Trace:
    """What the boundary recorded during one case."""

    def __init__(self, watch: bool = False) -> None:
        self.inputs_changed: list[str] = []
        self.dtypes_wrong: list[str] = []
        self._kept: list[tuple[str, Any, np.ndarray]] = []
        self.traffic = Traffic() if watch else None
        self._watched = watch

    def watch(self, label: str, arrays: str | None) -> contextlib.AbstractContextManager[Any]:
        """Count what a call on torch tensors moves between the host and a device. NumPy arrays must move."""
        if self.traffic is None or arrays != "torch":
            return contextlib.nullcontext()
        from harness.subject.watch import Watch

        return Watch(self.traffic, label)

    def off_device(self) -> list[str]:
        """What the subject copied to the host or computed there, if the trace was asked to watch from the start."""
        if not self._watched or self.traffic is None:
            return []
        copied = [f"{place} copied between host and device" for place in self.traffic.copies]
        return copied + [f"{place} ran on the host" for place in self.traffic.host]

    def keep(self, label: str, raw: Any, delivered: np.ndarray) -> None:
        """Keep a copy of a result, so that `outputs_changed` detects a later call that overwrites it."""
        self._kept.append((label, raw, delivered.copy()))

    def outputs_changed(self) -> list[str]:
        """Labels of results whose bytes changed after they were returned."""
        return [label for label, raw, then in self._kept if not same_bytes(plain(raw), then)]
