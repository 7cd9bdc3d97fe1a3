"""Harness's own package as contracts name it, and where the contracts that it ships lie. Nothing is imported."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

HARNESS = Path(__file__).resolve().parents[2]
"""The folder of the package `harness`: all that the wheel installs lies below it."""
SHORT = ("falsifiers", "reference", "models")
"""Packages of `harness` that a contract may name without `harness.`, where nobody else has one of that name."""


def full_name(module: str) -> str:
    """The importable name of a module as a contract writes it.

    `falsifiers.ops` is `harness.falsifiers.ops` where no package `falsifiers` is on the path. A project that has one
    of its own means its own, even if the module is missing there: Harness never answers for it.
    """
    top = module.partition(".")[0]
    return f"harness.{module}" if top in SHORT and not on_path(top) else module


@cache
def on_path(top: str) -> bool:
    """Whether a top-level package or module of this name can be imported."""
    try:
        return find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def shipped_contracts() -> Path:
    """The folder of the built-in contracts: inside the installed package, or beside it in a checkout."""
    installed = HARNESS / "builtin"
    return installed if installed.is_dir() else HARNESS.parent / "contracts"
