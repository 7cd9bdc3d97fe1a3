"""The laboratory of runs that are forged into runs of another host."""

from __future__ import annotations

from pathlib import Path

from harness.falsifiers.itself.shop import furnish
from tests.support.doubling import FALSIFIERS


def laboratory(folder: Path) -> Path:
    """Contracts, ship.yaml and a candidate, which harness.toml names; `slow` depends on `doubling`.

    Only CUDA discharges `doubling`.
    """
    return furnish(folder, on="cuda", falsifiers=FALSIFIERS)
