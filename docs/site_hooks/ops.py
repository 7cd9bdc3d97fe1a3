"""The ops a candidate may offer, from the reference's own source."""

from __future__ import annotations

import ast
import inspect

from harness.candidates.process.calls import REFERENCE, ops

INTRODUCTION = """# Ops

A candidate offers any of these as a function of the op's name; a claim on one that it lacks is UNVERIFIED. Arguments
stand in this order, an option at its neutral value is left out of the call, and `dtype` and `device` are passed to
functions that take them. Where a backward is under contract, `<op>_backward(dout, ...)` takes the same arguments after
`dout` and returns the gradients of the floating inputs in input order. Arrays are NumPy (bfloat16 travels as float32
that holds bfloat16 values); with `ARRAYS = "torch"` in the module they are tensors on the run's device. This page is
made from `harness/reference/ops/`.
"""


def page() -> str:
    """Markdown: a table of the ops and their arguments, then each op's call and its reference's docstring."""
    defined = _functions()
    rows = [f"| [`{op}`](#{op}) | {' '.join(f'`{name}`' for name in text.split())} |" for op, text in ops().items()]
    parts = [INTRODUCTION, "\n".join(["| op | arguments, those with a gradient starred |", "|---|---|", *rows])]
    for op in ops():
        node = defined[f"{op}_forward"]
        parts += [f"## {op}", f"```python\n{_call(op, node)}\n```", _docstring(node)]
    return "\n\n".join(parts) + "\n"


def _functions() -> dict[str, ast.FunctionDef]:
    found = {}
    for path in sorted(REFERENCE.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = node
    return found


def _call(op: str, node: ast.FunctionDef) -> str:
    """`rmsnorm(x, weight, eps=1e-06)`: types are in the docstring's shapes."""
    for argument in [*node.args.args, *node.args.kwonlyargs]:
        argument.annotation = None
    return f"{op}({ast.unparse(node.args)})"


def _docstring(node: ast.FunctionDef) -> str:
    """The first sentence as text, the rest as it stands."""
    first, _, rest = inspect.cleandoc(ast.get_docstring(node) or "").partition("\n\n")
    return f"{first}\n\n```text\n{rest}\n```" if rest else first
