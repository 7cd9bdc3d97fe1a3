"""Find a module's file without importing the module or the packages that contain it."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

from harness.contract.names.packages import SHORT, full_name
from harness.contract.names.source import ModuleSource
from harness.contract.problem import listed, nearest


class Missing(Exception):
    """A reference names nothing that exists; the message is one line: found, expected, what to do."""


class Modules:
    """A cache of modules: each is found and parsed once."""

    def __init__(self) -> None:
        self._roots: dict[str, tuple[Path, ...]] = {}
        self._files: dict[str, Path | None] = {}
        self._sources: dict[Path, ModuleSource] = {}

    def file(self, module: str) -> Path:
        """The source file of a dotted module, named as in a contract.

        Raises: Missing, with the nearest name if one is close.
        """
        module = full_name(module)
        if module not in self._files:
            self._files[module] = self._locate(module)
        found = self._files[module]
        if found is None:
            raise Missing(self._not_found(module))
        return found

    def exists(self, module: str) -> bool:
        """Whether a dotted module has a source file."""
        try:
            return self.file(module).is_file()
        except Missing:
            return False

    def source(self, file: Path) -> ModuleSource:
        """The names that the file defines.

        Raises: Missing if it cannot be read or parsed.
        """
        if file not in self._sources:
            try:
                self._sources[file] = ModuleSource.of(ast.parse(file.read_bytes(), filename=str(file)))
            except OSError as error:
                raise Missing(f"{file} cannot be read: {error.strerror}") from None
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                line = getattr(error, "lineno", None) or 1
                raise Missing(f"{file}:{line} is not Python: {getattr(error, 'msg', error)}; mend it first") from None
        return self._sources[file]

    def _locate(self, module: str) -> Path | None:
        top, *rest = module.split(".")
        for root in self._root(top) if "" not in rest else ():
            if not rest and root.is_file():
                return root
            folder = root.joinpath(*rest)
            for file in (folder / "__init__.py", folder.with_name(folder.name + ".py") if rest else folder):
                if file.is_file():
                    return file
        return None

    def _root(self, top: str) -> tuple[Path, ...]:
        """The package's folders, or the file of a single-file module; empty if neither exists."""
        if top not in self._roots:
            try:
                # Only the top-level name is looked up: find_spec of a dotted name imports its parents.
                spec = find_spec(top)
            except (ImportError, ValueError):
                spec = None
            folders = () if spec is None else spec.submodule_search_locations or ([spec.origin] if spec.origin else ())
            self._roots[top] = tuple(Path(folder) for folder in folders)
        return self._roots[top]

    def _not_found(self, module: str) -> str:
        parts = module.split(".")
        roots = self._root(parts[0])
        if not roots:
            guess = nearest(parts[0], (*SHORT, "harness"))
            return f"no package {parts[0]!r} on the path{guess}; install it, or write path.py relative to this file"
        folder = roots[0]
        for depth, part in enumerate(parts[1:], start=1):
            if not part or not (folder / part).is_dir():
                names = _modules_in(folder)
                inside = ".".join(parts[:depth])
                return f"no module {part!r} in {inside}{nearest(part, names)} (it has: {listed(names)})"
            folder /= part
        return f"{folder} has no __init__.py, so there is nothing to bind in it; name a module of it"


def _modules_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    inside = (each for each in folder.iterdir() if not each.name.startswith((".", "_")))
    return sorted(each.stem for each in inside if each.suffix == ".py" or (each / "__init__.py").is_file())
