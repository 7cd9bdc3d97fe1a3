"""Resolve a reference in YAML, `module:function` or `path.py:function`, to a definition in a file."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from pathlib import Path

from harness.contract.names.modules import Missing, Modules
from harness.contract.names.source import ImportedName
from harness.contract.problem import listed, nearest

_MAX_HOPS = 16


@dataclass(frozen=True)
class Definition:
    """Where a name is defined. To load it, import `module` (or load `file` if `module` is empty) and take `name`.

    ``name`` is empty for a whole module. ``line`` is the line of the definition, in the file that holds it if
    ``module`` only re-exports the name.
    """

    module: str
    file: str
    name: str
    line: int

    def __str__(self) -> str:
        where = self.module or short(self.file)
        return f"{where}:{self.name}" if self.name else where


@dataclass(frozen=True)
class Found:
    """A definition and its syntax tree; the tree is None if no Python source defines it (a compiled function)."""

    definition: Definition
    node: ast.AST | None


def find(text: str, folder: Path, modules: Modules) -> Found:
    """Find the function or module that `text` names; paths are relative to `folder`.

    Raises: Missing, with the nearest name if one is close.
    """
    where, _, name = text.partition(":")
    module = "" if is_path(where) else where
    file = modules.file(module) if module else path_file(where, folder)
    if not name:
        modules.source(file)
        return Found(Definition(module, str(file), "", 1), None)
    line, node = _follow(module, file, name, modules, 0)
    return Found(Definition(module, str(file), name, line), node)


def is_path(where: str) -> bool:
    """Whether a reference is a file path; otherwise it is a dotted module."""
    return where.endswith(".py") or "/" in where


def path_file(where: str, folder: Path) -> Path:
    """The file at `where`, relative to `folder`.

    Raises: Missing, with the nearest file in that file's folder.
    """
    file = Path(os.path.normpath(folder / where))
    if not file.is_file():
        beside = [each.name for each in file.parent.glob("*.py")] if file.parent.is_dir() else []
        raise Missing(f"no file {short(file)}{nearest(file.name, beside)} (paths are relative to the contract)")
    return file


def short(file: str | Path) -> str:
    """A path as messages show it: relative to the working directory if it lies inside, else absolute."""
    absolute, here = os.path.abspath(file), os.getcwd()
    return os.path.relpath(absolute, here) if absolute.startswith(here + os.sep) else absolute


def _follow(module: str, file: Path, name: str, modules: Modules, hops: int) -> tuple[int, ast.AST | None]:
    """The line and syntax tree of a name's definition; re-exports and aliases are followed."""
    source = modules.source(file)
    node = source.names.get(name)
    if node is None:
        for star in source.stars if hops < _MAX_HOPS else ():
            target = _imported_file(module, file, star, modules)
            if target is not None and name in modules.source(target[1]).names:
                return _follow(*target, name, modules, hops + 1)
        guess, has = nearest(name, source.names), listed(n for n in source.names if not n.startswith("_"))
        raise Missing(f"{short(file)} has no {name!r}{guess} (it has: {has})")
    line = getattr(node, "lineno", 1)
    if isinstance(node, ImportedName) and hops < _MAX_HOPS:
        target = _imported_file(module, file, node, modules)
        known = target is not None and (name_of(target[0]) == "harness" or node.level > 0)
        if target is None or not (known or node.name in modules.source(target[1]).names):
            return line, None
        return _follow(*target, node.name, modules, hops + 1)
    alias = node.value if isinstance(node, ast.Assign) else None
    if isinstance(alias, ast.Name) and alias.id in source.names and alias.id != name and hops < _MAX_HOPS:
        return _follow(module, file, alias.id, modules, hops + 1)
    return line, None if isinstance(node, ImportedName) else node


def name_of(module: str) -> str:
    """The top-level package of a dotted module."""
    return module.partition(".")[0]


def _imported_file(module: str, file: Path, imported: ImportedName, modules: Modules) -> tuple[str, Path] | None:
    """The module that an import statement names, and its file; None if it has no Python source."""
    target = imported.module
    if imported.level:
        if not module:
            return None
        package = module.split(".")
        package = package[: len(package) - imported.level + (file.name == "__init__.py")]
        target = ".".join([*package, *([imported.module] if imported.module else [])])
    try:
        return target, modules.file(target)
    except Missing:
        if imported.level:
            raise
        return None
