"""Check the evidence's JSON files against the JSON Schemas beside this file; one line per fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from harness.contract.problem import DataPath, listed, nearest, shown
from harness.evidence import tree
from harness.evidence.store import read_json

FOLDER = Path(__file__).parent
SHARED = "shared.schema.json"
FILES = ("run", "manifest", "result", "counterexample", "stages", "digest", "signature")
"""Each file `NAME.json` of a run has the schema `NAME.schema.json`; a bundle has Sigstore's own."""


def faults(run: Path) -> list[str]:
    """Every violation of the schemas in a run's JSON files: file, path inside it, what was found and expected."""
    found: list[str] = []
    apart = {run / tree.CONTRACTS, run / tree.BUNDLE}
    for file in sorted(file for file in run.rglob("*.json") if not apart & {file, file.parent}):
        if file.stem in FILES:
            found += [f"{file}: {fault}" for fault in of_body(read_json(file), file.stem)]
        else:
            names = listed(f"{name}.json" for name in FILES)
            found.append(f"{file}: found a JSON file that no run has, expected only {names}")
    return found


def of_body(body: object, name: str) -> list[str]:
    """Every violation of the schema `name` in one file's content."""
    schema = load(name)
    return [fault for error in _validator(name).iter_errors(body) for fault in _fault_lines(error, schema)]


@cache
def load(name: str) -> dict[str, Any]:
    """A schema into whose `$defs` the definitions of the shared schema are copied."""
    own, shared = (json.loads((FOLDER / file).read_text(encoding="utf-8")) for file in (f"{name}.schema.json", SHARED))
    found: dict[str, Any] = _with_local_references({**own, "$defs": {**shared["$defs"], **own.get("$defs", {})}})
    return found


@cache
def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({key: value for key, value in load(name).items() if key != "$id"})


def _with_local_references(node: Any) -> Any:
    """The schema, with every reference to the shared file turned into a reference inside the schema itself."""
    if isinstance(node, dict):
        return {
            key: value.removeprefix(SHARED) if key == "$ref" else _with_local_references(value)
            for key, value in node.items()
        }
    return [_with_local_references(each) for each in node] if isinstance(node, list) else node


def _fault_lines(error: Any, schema: dict[str, Any]) -> Iterator[str]:
    """One line per fault in a validation error: place, what was found, what the schema expects."""
    where, kind = _name(tuple(error.instance_path)), error.kind.name
    node: Any = schema
    for step in error.schema_path[:-1]:
        node = node[step]
    if kind == "additionalProperties":
        for key in error.kind.unexpected:
            yield f"{where}: found the unknown key {key!r}, expected {listed(node['properties'], 20)}"
    elif kind == "required":
        missing = error.kind.property
        yield f"{where}: found no {missing!r}, expected {_description(node['properties'][missing], schema)}"
    elif kind == "propertyNames":
        key = error.kind.error.instance
        yield f"{where}: found the key {key!r}, expected {node['description']}{_allowed(node, key)}"
    else:
        yield f"{where}: found {shown(error.instance)}, expected {node['description']}{_allowed(node, error.instance)}"


def _description(node: dict[str, Any], schema: dict[str, Any]) -> str:
    """A property's own description, or the description of the definition to which it refers."""
    if "description" in node or "$ref" not in node:
        return str(node.get("description", "a value"))
    return str(schema["$defs"][node["$ref"].rpartition("/")[2]]["description"])


def _allowed(node: dict[str, Any], value: object) -> str:
    """The values or the type that a schema allows, in brackets, for the end of a message."""
    if "enum" in node:
        known = ["null" if each is None else str(each) for each in node["enum"]]
        return f" ({listed(known, 30)}){nearest(str(value), known)}"
    if "const" in node:
        return f" ({node['const']})"
    kinds = node.get("type", [])
    least = f" of at least {node['minimum']}" if "minimum" in node else ""
    most = f" and at most {node['maximum']}" if "maximum" in node else ""
    kinds = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    return f" ({kinds}{least}{most})" if kinds else ""


def _name(path: DataPath) -> str:
    """The path to a value inside its file, like claims[0].mutants[2].by."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the file"
