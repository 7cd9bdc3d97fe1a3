"""Harness's own package as contracts name it, and where the contracts that it ships lie. Nothing is imported."""

from __future__ import annotations

import sys
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

HARNESS = Path(__file__).resolve().parents[2]
"""The folder of the package `harness`: all that the wheel installs lies below it."""
CONTENT = ("candidates", "consumers", "falsifiers", "formats", "models", "reference")
"""What contracts and commands name lies in these packages of `harness`; all else in it is the engine."""
SHORT = ("falsifiers", "reference", "models")
"""Those of CONTENT that a contract may name without `harness.`, where nobody else has one of that name."""


def full_name(module: str) -> str:
    """The importable name of a module as a contract writes it.

    `falsifiers.ops` is `harness.falsifiers.ops` where no package `falsifiers` is on the path. A project that has one
    of its own means its own, even if the module is missing there: Harness never answers for it.
    """
    top = module.partition(".")[0]
    return f"harness.{module}" if top in SHORT and not on_path(top) else module


@cache
def on_path(top: str) -> bool:
    """Whether a top-level package or module of this name can be imported; a folder of data is none.

    Python takes any folder for a package, `models/` full of weights included. One without `__init__.py` counts if
    it, or a folder directly in it, holds a Python file.
    """
    try:
        spec = find_spec(top)
    except ImportError:
        return False
    except ValueError:  # loaded already, by something that gave it no spec
        return True
    if spec is None or spec.origin is not None:
        return spec is not None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    return any(next(folder.glob(pattern), None) for folder in folders for pattern in ("*.py", "*/*.py"))


def settle_short_names() -> None:
    """Look the short names up now, so that a folder that joins the path later changes none of them.

    `validate` looks them up before any file of the user's is loaded, and the run has to agree with it.
    """
    for top in SHORT:
        on_path(top)


def import_from(folder: str | Path) -> None:
    """Put the working folder first on the path, as Python does for `python -m harness`.

    So `package.module:NAME` means the same by the console command, by `python -m harness` and in pytest. Python's own
    switch against it (`-P`, PYTHONSAFEPATH) holds here too.
    """
    if not sys.flags.safe_path and sys.path[:1] not in ([""], [str(folder)]):
        sys.path.insert(0, str(folder))


def in_the_way(folder: str | Path) -> tuple[str, str] | None:
    """(name, file) of a loaded module of this folder that hides one of the same name further down the path."""
    here = Path(folder).resolve()
    rest = [each for each in sys.path if Path(each).resolve() != here]
    for name, loaded in list(sys.modules.items()):
        file = getattr(loaded, "__file__", None)
        if "." in name or not file:
            continue
        own = Path(file).resolve() in (here / f"{name}.py", here / name / "__init__.py")
        other = PathFinder.find_spec(name, rest) if own else None
        if other is not None and other.origin is not None:
            return name, file
    return None


def shipped_contracts() -> Path:
    """The folder of the built-in contracts: inside the installed package, or beside it in a checkout."""
    installed = HARNESS / "builtin"
    return installed if installed.is_dir() else HARNESS.parent / "contracts"
