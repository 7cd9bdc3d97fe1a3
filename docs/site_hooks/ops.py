"""Makes the page of ops that a candidate may offer, from the source of the reference."""

from __future__ import annotations

import ast
import inspect

from harness.candidates.process.calls import REFERENCE, ops

INTRODUCTION = """# Ops

A candidate offers any of these ops as a function of the op's name. A claim on an op that it lacks is UNVERIFIED.
Harness passes the arguments in this order, leaves out options that have their neutral value, and passes `dtype` and
`device` to functions that take them. `<op>_backward(dout, ...)` takes the same arguments after `dout` and returns the
gradients of the floating-point inputs in their order. Arrays are NumPy arrays (bfloat16 values come as float32); with
`ARRAYS = "torch"` in the module they are torch tensors on the run's device. This page is
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
    """The first paragraph as text, the rest as a block of code."""
    first, _, rest = inspect.cleandoc(ast.get_docstring(node) or "").partition("\n\n")
    return f"{first}\n\n```text\n{rest}\n```" if rest else first
