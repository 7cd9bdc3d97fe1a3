"""The calls that the harness makes to an external program: each op's arguments, and which have gradients."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

REFERENCE = Path(__file__).resolve().parents[2] / "reference" / "ops"
FORWARD, BACKWARD = "_forward", "_backward"


@cache
def ops() -> dict[str, str]:
    """Op -> its arguments in order, those with a gradient starred: `x* weight* eps`.

    Read from the source of the reference: an op is a function `<op>_forward`, its arguments are those of the op. Where
    there is a `<op>_backward`, the first arrays of floating numbers have a gradient, as many as it returns.
    """
    defined: dict[str, ast.FunctionDef] = {}
    for file in sorted(REFERENCE.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        defined |= {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    forwards = {name.removesuffix(FORWARD): node for name, node in defined.items() if name.endswith(FORWARD)}
    return {op: _written(node.args, _returned(defined.get(op + BACKWARD))) for op, node in forwards.items()}


def arguments(call: str) -> list[str] | None:
    """The arguments of a call in order; None for a call outside the protocol.

    `<op>_backward` takes `dout` before the op's own arguments; it exists only for ops with a gradient.
    """
    op = call.removesuffix(BACKWARD)
    if op not in ops() or (op != call and not gradients(op)):
        return None
    names = ops()[op].replace("*", "").split()
    return names if op == call else ["dout", *names]


def gradients(op: str) -> list[str]:
    """The arguments that have a gradient, in order."""
    return [name.removesuffix("*") for name in ops()[op].split() if name.endswith("*")]


def _written(given: ast.arguments, gradients: int) -> str:
    names = []
    for argument in [*given.args, *given.kwonlyargs]:
        # Arrays of whole numbers are annotated NDArray[np.integer].
        starred = gradients > 0 and ast.unparse(argument.annotation or ast.Name("")).startswith("np.ndarray")
        gradients -= starred
        names.append(f"{argument.arg}*" if starred else argument.arg)
    return " ".join(names)


def _returned(backward: ast.FunctionDef | None) -> int:
    """How many gradients a backward returns, by its annotation: one array, or a tuple of them."""
    if backward is None or backward.returns is None:
        return 0
    kind = backward.returns
    return len(kind.slice.elts) if isinstance(kind, ast.Subscript) and isinstance(kind.slice, ast.Tuple) else 1
