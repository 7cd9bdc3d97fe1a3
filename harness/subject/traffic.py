"""What a subject moved between the host and its device, read back from the device, or computed on the host."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Traffic:
    """Counts by `<call>: <operation>` over all watched calls."""

    copies: Counter[str] = field(default_factory=Counter)
    """Tensors with dimensions that moved between host and device."""
    reads: Counter[str] = field(default_factory=Counter)
    """Values that the host waited for."""
    host: Counter[str] = field(default_factory=Counter)
    """Operations on host tensors alone; tensors without dimensions, which torch treats as numbers, do not count."""

    def clear(self) -> None:
        """Forget what was counted so far."""
        for counts in (self.copies, self.reads, self.host):
            counts.clear()
