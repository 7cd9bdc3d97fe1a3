"""The folder of this checkout, and an environment in which a new Python process imports it."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "contracts"
WITHOUT_TORCH = ROOT / "tests" / "support" / "without_torch"
"""First on PYTHONPATH, a process finds no torch, as on many users' machines; a run starts in one second, not four."""
NUMPY_ALONE = {"PYTHONPATH": os.pathsep.join([str(WITHOUT_TORCH), str(ROOT)])}
"""The setting in which a new process imports this checkout and finds no torch."""


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with the checkout on PYTHONPATH, and with some settings exchanged."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **settings}
