"""The measurements, from the table that the engine reads, and the falsifiers' own from their source."""

from __future__ import annotations

import ast
from pathlib import Path

from harness.measurements.table import MEASUREMENTS
from harness.words.glossary import IMPLICIT

FALSIFIERS = Path(__file__).resolve().parents[2] / "harness" / "falsifiers"
INTRODUCTION = """# Measurements

A limit names a measurement. The engine computes these from the pairs *(got, want)* that a falsifier returns; [how
limits are chosen](../limits.md) has the formulas of the ratios. `harness explain NAME` says the same in a terminal.
"""
OWN = """## The falsifiers' own

Numbers that a falsifier returns by name. They are listed in the literal `MEASURES` of its module; yours go into yours.
"""


def page() -> str:
    """Markdown: the engine's measurements, the limits that always hold, and each falsifier module's."""
    parts = [INTRODUCTION, _table({name: f"{each.what}; {each.reads}" for name, each in MEASUREMENTS.items()})]
    parts += ["## Always, besides", "No contract names these; a violation is told by its name.", _table(IMPLICIT)]
    parts.append(OWN)
    for path in sorted(FALSIFIERS.rglob("*.py")):
        if own := _measures(path):
            name = path.relative_to(FALSIFIERS).with_suffix("").as_posix().removesuffix("/__init__")
            parts += [f"### {name}", _table(own)]
    return "\n\n".join(parts) + "\n"


def _table(entries: dict[str, str]) -> str:
    rows = [
        f"| `{name}` | {' '.join(str(text).split()).replace('|', chr(92) + '|')} |" for name, text in entries.items()
    ]
    return "\n".join(["| name | is |", "|---|---|", *rows])


def _measures(path: Path) -> dict[str, str]:
    """The literal MEASURES of a module, read and not imported."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MEASURES":
            found: dict[str, str] = ast.literal_eval(node.value)
            return found
    return {}
