"""Print what a model file holds: keys, tokenizer, tensors, totals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from harness.report.terminal import WIDE, console
from harness.words.plain import line

ROWS, SHOWN = 2_048, 200
"""The most keys and tensors that are printed, and the most characters of each."""


def print_inspection(found: Mapping[str, Any]) -> None:
    """Print the file's keys, tokenizer, tensors and totals as tables."""
    out = console(width=WIDE)
    totals = found["totals"]
    out.print(f"{found['file']}: {found['format']}", markup=False, soft_wrap=True)
    keys = Table(box=None, pad_edge=False, show_edge=False, show_header=False)
    keys.add_column(no_wrap=True)
    keys.add_column(no_wrap=True, overflow="ellipsis", max_width=100)
    first = dict(list(found["keys"].items())[:ROWS])
    for name, value in {**first, **_tokenizer_rows(found["tokenizer"])}.items():
        keys.add_row(Text(line(name[:SHOWN])), Text(line(_brief(value)[:SHOWN])))
    tensors = Table(box=None, pad_edge=False, show_edge=False)
    for title in ("tensor", "type", "shape", "bytes"):
        tensors.add_column(title, no_wrap=True, justify="right" if title == "bytes" else "left")
    for tensor in found["tensors"][:ROWS]:
        shape = " x ".join(map(str, tensor["shape"]))
        tensors.add_row(Text(line(tensor["name"][:SHOWN])), tensor["type"], shape, f"{tensor['bytes']:,}")
    out.print(keys)
    out.print()
    out.print(tensors)
    left = max(0, len(found["keys"]) - ROWS) + max(0, len(found["tensors"]) - ROWS)
    if left:
        out.print(f"and {left:,} more keys and tensors; --json has them all", style="yellow")
    out.print(f"\n{totals['tensors']} tensors, {totals['parameters']:,} parameters, {totals['bytes']:,} bytes")
    for kind, part in totals["by_type"].items():
        out.print(f"  {kind}: {part['tensors']} tensors, {part['parameters']:,} parameters, {part['bytes']:,} bytes")
    if totals.get("trailing_bytes"):
        out.print(f"{totals['trailing_bytes']:,} bytes after the last tensor are unused", style="yellow")


def _tokenizer_rows(tokenizer: Mapping[str, Any] | None) -> dict[str, Any]:
    return {f"(tokenizer) {name}": value for name, value in (tokenizer or {"": "none in this file"}).items()}


def _brief(value: Any) -> str:
    if isinstance(value, Mapping) and set(value) == {"length", "first"}:
        return f"{value['length']} x " + json.dumps(value["first"], ensure_ascii=False)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
