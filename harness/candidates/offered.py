"""What a built-in candidate offers: the public functions of the modules in its folder, each imported when asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.definitions import defined, defining


def offered(package: str, otherwise: str = "") -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` for a candidate's package (PEP 562).

    A function is offered under its name unless it, its module or a folder on the way begins with an underscore. What
    no module of the package defines is looked up in the package `otherwise`.
    Raises (on look-up): AttributeError for a name that nobody defines, ImportError for one that two modules define.
    """
    module = sys.modules[package]
    folder = Path(module.__path__[0])

    def look_up(name: str) -> Any:
        if name == "__all__":
            return names()
        files = [] if name.startswith("_") else defining(folder, name)
        if len(files) > 1:
            where = " and ".join(str(file.relative_to(folder)) for file in files)
            raise ImportError(f"{package}: found {name!r} in {where}, expected it in one of them; rename the other")
        if not files and (name.startswith("_") or not otherwise):
            raise AttributeError(f"{package} offers no {name!r}")
        found = getattr(import_module(_dotted(package, folder, files[0]) if files else otherwise), name)
        setattr(module, name, found)
        return found

    def names() -> list[str]:
        others = dir(import_module(otherwise)) if otherwise else []
        return sorted({*defined(folder), "ARRAYS", *(name for name in others if not name.startswith("_"))})

    return look_up, names


def _dotted(package: str, folder: Path, file: Path) -> str:
    return ".".join([package, *file.relative_to(folder).with_suffix("").parts])
