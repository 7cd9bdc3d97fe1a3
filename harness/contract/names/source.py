"""What a module's source says at its top level, read from its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Imported:
    """`from module import name`, with the dots of a relative import in `level`."""

    module: str
    name: str
    level: int
    lineno: int


@dataclass(frozen=True)
class Source:
    """The names of one module: functions, classes, assignments and imports, and what it imports whole."""

    names: dict[str, ast.AST | Imported] = field(default_factory=dict)
    stars: tuple[Imported, ...] = ()

    @classmethod
    def of(cls, tree: ast.Module) -> Source:
        source = cls(stars=tuple(_stars(tree.body)))
        for name, node in _bindings(tree.body):
            source.names[name] = node
        return source

    def literal(self, name: str) -> dict[str, ast.expr | None] | None:
        """The string keys of `NAME = {...}` and their values (a set's, list's or tuple's have none).

        Returns None when there is no such name or it is not written out as a literal.
        """
        node = self.names.get(name)
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        pairs: list[tuple[ast.expr | None, ast.expr | None]]
        if isinstance(value, ast.Dict):
            pairs = list(zip(value.keys, value.values, strict=True))
        elif isinstance(value, (ast.Set, ast.List, ast.Tuple)):
            pairs = [(each, None) for each in value.elts]
        else:
            return None
        entries = {
            key.value: item for key, item in pairs if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
        return entries if len(entries) == len(pairs) else None


def _bindings(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.AST | Imported]]:
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


def _stars(body: Iterable[ast.stmt]) -> Iterator[Imported]:
    for node in body:
        if isinstance(node, ast.ImportFrom):
            yield from (_imported(node, "*") for alias in node.names if alias.name == "*")


def _imported(node: ast.ImportFrom, name: str) -> Imported:
    return Imported(node.module or "", name, node.level, node.lineno)


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The bodies that a statement runs at the module's own level: if, try, with, for."""
    for part in ("body", "orelse", "finalbody"):
        yield getattr(node, part, [])
    for handler in getattr(node, "handlers", []):
        yield handler.body
