"""Find the function that builds an op's inputs, for a falsifier that takes any parameter. Nothing is imported."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from harness.contract.names.modules import Missing, Modules
from harness.contract.names.reference import Definition, Found, find, is_path, short
from harness.contract.problem import Mistake, listed, nearest
from harness.definitions import defined, defining


def find_inputs(
    source: dict[str, Any], falsifier: Definition, modules: Modules, findings: list[Mistake]
) -> Found | None:
    """The function that builds the inputs of `given.op`; None, with a mistake added, if there is none or several.

    The falsifier's module may name it in a literal `INPUTS = {op: 'module:function'}`. Without that literal, it is
    the function `<op>_<module>`, or else `<op>`, of a module in the folder `inputs` beside the falsifier's file.
    `<module>` is the name of the falsifier's module; for a falsifier in an `__init__.py` only `<op>` is tried.
    """
    op, file = source["given"]["op"], Path(falsifier.file)
    table = modules.source(file).literal("INPUTS")
    try:
        if table is not None:
            return find(_entry(op, table, file), file.parent, modules)
        return _in_folder(op, source["falsifier"].rpartition(":")[0], falsifier, modules)
    except Missing as missing:
        findings.append(Mistake(("given", "op"), f"given.op {op!r}: {missing}"))
        return None


def own_name(file: Path) -> str:
    """The name of a module: the name of its file, or of its folder if it is a package."""
    return file.parent.name if file.name == "__init__.py" else file.stem


def beside(written: str, file: Path, folder: str, inside: tuple[str, ...]) -> str:
    """A module of `folder` beside a falsifier, written as in the contract: a path if the falsifier is a path."""
    if is_path(written):
        return (Path(written).parent / folder / Path(*inside)).as_posix() + ".py"
    package = written if file.name == "__init__.py" else written.rpartition(".")[0]
    parts = inside[:-1] if inside[-1] == "__init__" else inside
    return ".".join([*([package] if package else []), folder, *parts])


def _entry(op: str, table: dict[str, ast.expr], file: Path) -> str:
    value = table.get(op)
    if value is None:
        raise Missing(f"expected an op of INPUTS in {short(file)}{nearest(op, table)} (it has: {listed(table, 30)})")
    if not (isinstance(value, ast.Constant) and isinstance(value.value, str)):
        raise Missing(f"INPUTS[{op!r}] in {short(file)} is not a text 'module:function'")
    return value.value


def _in_folder(op: str, written: str, falsifier: Definition, modules: Modules) -> Found:
    file = Path(falsifier.file)
    inputs = file.parent / "inputs"
    if not inputs.is_dir():
        raise Missing(
            f"falsifier {falsifier.name!r} takes any parameter, but {short(file)} has no literal "
            "INPUTS = {op: 'module:function'} and no folder `inputs` beside it to check them by"
        )
    try:
        for name in (op,) if file.name == "__init__.py" else (f"{op}_{own_name(file)}", op):
            places = defining(inputs, name)
            if len(places) > 1:
                where = " and ".join(map(short, places))
                raise Missing(f"found {name!r} in {where}, expected it in one of them; rename the other")
            if places:
                node = modules.source(places[0]).names[name]
                inside = places[0].relative_to(inputs).with_suffix("").parts
                module = "" if is_path(written) else beside(written, file, "inputs", inside)
                definition = Definition(module, str(places[0]), name, getattr(node, "lineno", 1))
                return Found(definition, node if isinstance(node, ast.AST) else None)
        known = defined(inputs)
    except SyntaxError as error:
        raise Missing(f"{error.filename}:{error.lineno} is not Python: {error.msg}; mend it first") from None
    has = f"{nearest(op, known)} (it has: {listed(known, 40)})"
    raise Missing(f"expected a function of its name in {short(inputs)}{has}")
