"""Known-wrong implementations: functions baseline -> wrong baseline, each citing the real bug."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def replace(baseline: Any, **functions: Any) -> SimpleNamespace:
    """The baseline with some of its functions exchanged; ARRAYS and the rest stay."""
    kept = {name: getattr(baseline, name) for name in dir(baseline) if not name.startswith("_")}
    return SimpleNamespace(**{**kept, **functions})


class Inapplicable(Exception):
    """This mutant equals the baseline for this config (no biases to drop): the case is left out, and said so.

    Decided by config and shapes, never by values. The engine knows it by its attribute.
    """

    inapplicable = True


class NotRun(Exception):
    """This mutant needs a device that is not here: it is listed, and the claim is at most PARTIAL."""

    not_run = True
