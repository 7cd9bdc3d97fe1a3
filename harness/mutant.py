"""Known-wrong implementations: functions baseline -> wrong baseline, each citing the real bug."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

Mutant = Callable[[Any], Any]


def mutant(function: Mutant) -> Mutant:
    """Declare a function as the mutant of its own name.

    `harness validate` reads the decorator in the source, so it stands above a function of the module's top level.
    """
    function.is_mutant = True  # type: ignore[attr-defined]
    return function


def mutants_of(module: ModuleType) -> dict[str, Mutant]:
    """The mutants of a module by name: the entries of its `MUTANTS` and its own functions under `@mutant`.

    A function that is imported from another module counts only where `MUTANTS` says so.
    `harness.contract.names.source.Source.mutants` reads the same from the source.
    """
    found: dict[str, Mutant] = dict(getattr(module, "MUTANTS", {}))
    for name, value in vars(module).items():
        if getattr(value, "is_mutant", False) is True and (value.__module__, value.__name__) == (module.__name__, name):
            found[name] = value
    return found


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
