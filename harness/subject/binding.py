"""Import the Python objects that a contract names: `module:function`, `path.py:function`, or a module."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.contract.names.packages import full_name, settle_short_names
from harness.errors import UserError


def module(reference: str, folder: str | Path = ".") -> ModuleType:
    """Import the module part of a reference; a path is relative to `folder` (the contract's).

    Raises: UserError if the file does not exist; whatever the module itself raises on import.
    """
    name = reference.partition(":")[0] if not reference.endswith(".py") else reference
    if not name.endswith(".py"):
        return importlib.import_module(full_name(name))
    path = (Path(folder) / name).resolve()
    if not path.is_file():
        raise UserError(f"{reference}: file {path} not found; give a path relative to {folder}")
    alias = f"harness_file_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if alias in sys.modules:
        return sys.modules[alias]
    found = importlib.util.spec_from_file_location(alias, path)
    assert found is not None
    assert found.loader is not None
    loaded = importlib.util.module_from_spec(found)
    sys.modules[alias] = loaded
    settle_short_names()
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        found.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[alias]
        raise
    return loaded


def attribute(reference: str, folder: str | Path = ".") -> Any:
    """Import the object that `module:name` or `path.py:name` names.

    Raises: UserError if the module does not define the name; the message lists the public names that it does define.
    """
    where, _, name = reference.rpartition(":")
    loaded = module(where, folder)
    if not hasattr(loaded, name):
        offered = ", ".join(sorted(n for n in vars(loaded) if not n.startswith("_"))[:12])
        raise UserError(f"{reference}: {where} has no `{name}`; it offers {offered}")
    return getattr(loaded, name)
