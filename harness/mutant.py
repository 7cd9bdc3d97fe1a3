"""Mutants, known-wrong implementations: functions baseline -> wrong baseline, each citing the real bug."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

Mutant = Callable[[Any], Any]


def mutant(function: Mutant) -> Mutant:
    """Declare a function as a mutant under its own name.

    `harness validate` reads the decorator from the source, so the function must be at the module's top level.
    """
    function.is_mutant = True  # type: ignore[attr-defined]
    return function


def mutants_of(module: ModuleType) -> dict[str, Mutant]:
    """The mutants of a module by name: the entries of its `MUTANTS` and the functions under `@mutant` it defines.

    A function imported from another module counts only if `MUTANTS` lists it.
    `harness.contract.names.source.ModuleSource.mutants` finds the same names without importing the module.
    """
    found: dict[str, Mutant] = dict(getattr(module, "MUTANTS", {}))
    for name, value in vars(module).items():
        if getattr(value, "is_mutant", False) is True and (value.__module__, value.__name__) == (module.__name__, name):
            found[name] = value
    return found


def replace(baseline: Any, **functions: Any) -> SimpleNamespace:
    """A copy of the baseline with some of its functions replaced; everything else stays, ARRAYS included."""
    kept = {name: getattr(baseline, name) for name in dir(baseline) if not name.startswith("_")}
    return SimpleNamespace(**{**kept, **functions})


class Inapplicable(Exception):
    """Raised by a mutant that equals the baseline for this config (no biases to drop); the record lists the case as
    skipped.

    A mutant decides this by config and shapes, never by values. The engine checks the attribute, not the class.
    """

    inapplicable = True


class NotRun(Exception):
    """Raised by a mutant whose device this machine lacks; the mutant is listed, and the claim is at most PARTIAL."""

    not_run = True
