"""Map the short names in contracts to modules of `harness`, and find the built-in contracts. Nothing is imported."""

from __future__ import annotations

import sys
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

HARNESS = Path(__file__).resolve().parents[2]
"""The folder of the package `harness`; the wheel installs nothing outside it."""
CONTENT = ("candidates", "consumers", "falsifiers", "formats", "models", "reference")
"""The packages of `harness` that contracts and commands refer to by name; the other packages are the engine."""
SHORT = ("falsifiers", "reference", "models")
"""The packages of CONTENT that a contract may name without `harness.`, if no other package has the same name."""


def full_name(module: str) -> str:
    """The importable name of a module, from the name in a contract.

    `falsifiers.ops` means `harness.falsifiers.ops` if no package `falsifiers` is on the path. If a project has its own
    package `falsifiers`, the name means that package, even if the module is missing there.
    """
    top = module.partition(".")[0]
    return f"harness.{module}" if top in SHORT and not on_path(top) else module


@cache
def on_path(top: str) -> bool:
    """Whether a top-level package or module of this name can be imported; a folder without code does not count.

    Python treats every folder as a package, even a folder `models/` that holds only weights. A folder without
    `__init__.py` therefore counts only if it, or a folder directly inside it, holds a Python file.
    """
    try:
        spec = find_spec(top)
    except ImportError:
        return False
    except ValueError:  # the module is loaded already, and its __spec__ is None
        return True
    if spec is None or spec.origin is not None:
        return spec is not None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    return any(next(folder.glob(pattern), None) for folder in folders for pattern in ("*.py", "*/*.py"))


def settle_short_names() -> None:
    """Look up the short names now and cache the answers, so that later additions to the path do not change them.

    `validate` looks them up before any of the user's files is loaded, and the run must resolve them the same way.
    """
    for top in SHORT:
        on_path(top)


def import_from(folder: str | Path, *, last: bool = False) -> None:
    """Put the working folder first on the path, as Python does for a script; or last, where no code of it is to run.

    `package.module:NAME` then means the same in the console command, in `python -m harness` and in pytest. Python's
    option that turns this off (`-P`, PYTHONSAFEPATH) turns it off here too.
    """
    if sys.flags.safe_path:
        return
    sys.path[:] = [each for each in sys.path if each not in ("", str(folder))]
    sys.path.insert(len(sys.path) if last else 0, str(folder))


def in_the_way(folder: str | Path) -> tuple[str, str] | None:
    """(name, file) of a loaded module in this folder that hides a module of the same name later on the path."""
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


ON_REQUEST = HARNESS / "on_request"
"""The built-in contracts that take minutes; only their own names lead to them."""


def shipped_contracts() -> Path:
    """The folder of the built-in contracts: inside the installed package, or beside it in a checkout."""
    installed = HARNESS / "builtin"
    return installed if installed.is_dir() else HARNESS.parent / "contracts"
