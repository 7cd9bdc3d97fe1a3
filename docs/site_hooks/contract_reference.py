"""Makes the contract reference from the JSON Schemas that `harness validate` uses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CONTRACT = Path(__file__).resolve().parents[2] / "harness" / "contract"
PARTS = {
    "metadata": "The name of the contract, and the contracts it depends on.",
    "claim": "One entry of `falsification_tests`.",
    "domain": "The values of one parameter under `explore`; write exactly one of these fields.",
    "accept": "A map from measurement to limit. [Measurements](measurements.md) are the engine's own or those that "
    "the falsifier's module lists in its literal `MEASURES`.",
    "limit": "At least one comparison, and its reason.",
}
SHIP = {
    "target": "One model or system to ship.",
    "criterion": "One acceptance criterion; its credit is the least of its claims'.",
}
INTRODUCTION = """# Contract

A contract is a YAML file. Numbers follow YAML 1.2: `1e-5` is a number; `no` and `1:30` are text. Each key may occur
once. A key that is not listed here is an error; the message gives its line and the nearest known key. `harness validate
PATH` checks all of this, and what a schema cannot express: every name resolves, the falsifier takes every parameter, a
loss has two bounds. This page is made from the schema.
"""


def page() -> str:
    """Markdown for every field of a contract and of ship.yaml."""
    schema = _read("contract.schema.json")
    parts = [INTRODUCTION, "## The file", _table(schema, schema)]
    for name, text in PARTS.items():
        parts += [f"## {name}", text, _table(_part(schema, name), schema)]
    ship = _read("ship.schema.json")
    parts += ["## ship.yaml", "It lies in the folder of the contracts or above it; a run copies it into the evidence."]
    for name, text in SHIP.items():
        parts += [f"### {name}", text, _table(ship["$defs"][name], ship)]
    return "\n\n".join(parts) + "\n"


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONTRACT / name).read_text(encoding="utf-8"))
    return found


def _part(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema["properties"].get(name) or schema["$defs"][name]
    return found


def _table(part: dict[str, Any], schema: dict[str, Any]) -> str:
    return "\n".join(["| field | | holds | meaning |", "|---|---|---|---|", *_rows(part, schema)])


def _rows(part: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    for name, field in part["properties"].items():
        target = schema["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else {}
        expected = field.get("description") or target["description"]
        must = "required" if name in part.get("required", ()) else ""
        yield f"| `{name}` | {must} | {_cell(expected)} | {_cell(field.get('$comment', ''))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
