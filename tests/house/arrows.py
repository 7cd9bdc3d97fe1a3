"""Every import of a file, as `ast` sees it: late ones and module names in strings included."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


class Arrow(NamedTuple):
    """`module` imports `target`: at the top of the file, `late` inside a function, or by a name in a `string`."""

    module: str
    target: str
    how: str


def module_name(path: Path, root: Path) -> str:
    """`harness/run/session.py` -> `harness.run.session`; a package has its folder's name."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def arrows_of(path: Path, root: Path) -> Iterator[Arrow]:
    """What one file imports. A literal that names a module below `harness` counts as an import by string."""
    module = module_name(path, root)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    yield from _arrows(module, package, path.read_text(encoding="utf-8"))


@cache
def _arrows(module: str, package: str, text: str) -> tuple[Arrow, ...]:
    return tuple(_found(module, package, ast.parse(text)))


def _found(module: str, package: str, tree: ast.Module) -> Iterator[Arrow]:
    early = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        how = "top" if id(node) in early else "late"
        if isinstance(node, ast.Import):
            yield from (Arrow(module, alias.name, how) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (Arrow(module, f"{base}.{alias.name}", how) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0].rstrip(".")
            if DOTTED.fullmatch(name) and name.startswith("harness."):
                yield Arrow(module, name, "string")
        elif isinstance(node, ast.Call) and _imports_by_name(node):
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield Arrow(module, argument.value, "string")


def _imports_by_name(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return name in ("import_module", "__import__") and bool(call.args)


def inside(arrows: Sequence[Arrow], modules: Mapping[str, Path]) -> dict[str, set[str]]:
    """Module -> the modules of the house that it imports, names of functions cut off; packages' faces left out."""
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for arrow in arrows:
        target = arrow.target
        while target and target not in modules:
            target = target.rpartition(".")[0]
        if target and target != arrow.module and modules[target].name != "__init__.py":
            graph[arrow.module].add(target)
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Every circle that a walk in sorted order meets, from its first module back to it."""
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            found.append([*way[way.index(name) :], name])
        elif name not in done:
            for target in sorted(graph.get(name, ())):
                visit(target, [*way, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return found
