"""The top-level names of a module, read from its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class ImportedName:
    """`from module import name`, with the dots of a relative import in `level`."""

    module: str
    name: str
    level: int
    lineno: int


@dataclass(frozen=True)
class ModuleSource:
    """The names of one module: functions, classes, assignments and imports, and its `from module import *`."""

    names: dict[str, ast.AST | ImportedName] = field(default_factory=dict)
    stars: tuple[ImportedName, ...] = ()
    decorated: tuple[ast.FunctionDef, ...] = ()
    """The decorated functions in file order; a name that is defined twice appears twice."""

    @classmethod
    def of(cls, tree: ast.Module) -> ModuleSource:
        bindings = list(_bindings(tree.body))
        decorated = (node for _, node in bindings if isinstance(node, ast.FunctionDef) and node.decorator_list)
        return cls(names=dict(bindings), stars=tuple(_stars(tree.body)), decorated=tuple(decorated))

    def mutants(self) -> dict[str, list[ast.expr | ast.FunctionDef]]:
        """Name -> its declarations: entries of a literal `MUTANTS = {...}` and functions under `@mutant`.

        A name with several declarations is a mistake. `harness.mutant.mutants_of` finds the same names at run time.
        """
        found: dict[str, list[ast.expr | ast.FunctionDef]] = {}
        for name, value in self._pairs("MUTANTS") or ():
            found.setdefault(name, []).append(value)
        for function in self.decorated:
            if any(self._is_mutant_decorator(each) for each in function.decorator_list):
                found.setdefault(function.name, []).append(function)
        return found

    def _is_mutant_decorator(self, decorator: ast.expr) -> bool:
        """Whether a decorator is `harness.mutant.mutant`, however it was imported."""
        first, _, rest = ast.unparse(decorator).partition(".")
        node = self.names.get(first)
        if isinstance(node, ImportedName):
            return f"{node.module}.{node.name}.{rest}".rstrip(".") == "harness.mutant.mutant"
        return isinstance(node, ast.Import) and f"{first}.{rest}" == "harness.mutant.mutant"

    def literal(self, name: str) -> dict[str, ast.expr] | None:
        """The string keys of a literal `NAME = {...}` and their values; an element of a set, list or tuple is both.

        Returns None if the module has no such name or its value is not a literal.
        """
        pairs = self._pairs(name)
        return None if pairs is None else dict(pairs)

    def _pairs(self, name: str) -> list[tuple[str, ast.expr]] | None:
        """The pairs of `literal`; a key that is written twice appears twice."""
        node = self.names.get(name)
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if isinstance(value, ast.Dict):
            pairs = list(zip(value.keys, value.values, strict=True))
        elif isinstance(value, (ast.Set, ast.List, ast.Tuple)):
            pairs = [(each, each) for each in value.elts]
        else:
            return None
        entries = [(k.value, v) for k, v in pairs if isinstance(k, ast.Constant) and isinstance(k.value, str)]
        return entries if len(entries) == len(pairs) else None


def _bindings(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.AST | ImportedName]]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                yield from ((each.id, node) for each in ast.walk(target) if isinstance(each, ast.Name))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0], node
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name != "*":
                    yield alias.asname or alias.name, _imported(node, alias.name)
        else:
            for block in _blocks(node):
                yield from _bindings(block)


def _stars(body: Iterable[ast.stmt]) -> Iterator[ImportedName]:
    for node in body:
        if isinstance(node, ast.ImportFrom):
            yield from (_imported(node, "*") for alias in node.names if alias.name == "*")


def _imported(node: ast.ImportFrom, name: str) -> ImportedName:
    return ImportedName(node.module or "", name, node.level, node.lineno)


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks inside a statement that bind names at module level: those of if, try, with and for."""
    for part in ("body", "orelse", "finalbody"):
        yield getattr(node, part, [])
    for handler in getattr(node, "handlers", []):
        yield handler.body
