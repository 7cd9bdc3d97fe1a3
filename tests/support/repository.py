"""The folder of this checkout, and an environment in which a new Python process imports it."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "contracts"


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with the checkout on PYTHONPATH, and with some settings exchanged."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **settings}
