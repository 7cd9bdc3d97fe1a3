"""The evidence reference, from the JSON Schemas that `harness verify` holds each file against."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.judging.cause import MEANING, root_cause_class

EVIDENCE = Path(__file__).resolve().parents[2] / "harness" / "evidence"
FILES = ("run", "result", "counterexample", "stages", "digest", "manifest", "signature")
SHARED = "shared"
INTRODUCTION = """# Evidence

Every JSON file of a run has a JSON Schema (2020-12) in `harness/evidence`: `run.json` has `run.schema.json`, and so on;
what several files share stands in `shared.schema.json`. A key that is not listed here is a fault. `harness verify`
holds each file against its schema before it judges anything again, and names file, place, what was found and what was
expected. This page is made from the schemas. [The evidence](../guide/evidence.md) says what the folder is for.
"""
CAUSES = """## cause

`cause` says in one word why a verdict is what it is, where neither the violated limits nor the mutants say it. `reason`
says the same in a sentence for people; nothing reads it. `root_cause_class` follows from the cause.
"""


def page() -> str:
    """Markdown for every file of the evidence, the parts that they share, and the causes."""
    parts = [INTRODUCTION]
    for name in FILES:
        schema = _read(name)
        parts += [f"## {schema['title']}", f"{_sentence(schema['description'])}", *_tables(schema)]
    parts += [CAUSES, _causes(), "## Shared parts", "What the tables above refer to."]
    parts += _definitions(_read(SHARED))
    return "\n\n".join(parts) + "\n"


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVIDENCE / f"{name}.schema.json").read_text(encoding="utf-8"))
    return found


def _tables(schema: dict[str, Any]) -> list[str]:
    own = [_table(schema, schema.get("$defs", {}))] if "properties" in schema else []
    return own + _definitions(schema)


def _definitions(schema: dict[str, Any]) -> list[str]:
    parts = []
    for name, node in schema.get("$defs", {}).items():
        parts += [f"### {name}", _sentence(node["description"])]
        if "properties" in node:
            parts.append(_table(node, schema["$defs"]))
        elif "enum" in node:
            parts.append("One of " + ", ".join(f"`{json.dumps(each)}`" for each in node["enum"]) + ".")
    return parts


def _table(node: dict[str, Any], own: dict[str, Any]) -> str:
    return "\n".join(["| key | | holds | meaning |", "|---|---|---|---|", *_rows(node, own)])


def _rows(node: dict[str, Any], own: dict[str, Any]) -> Iterator[str]:
    """The keys of an object; what a definition says stands for a key that says nothing of its own."""
    definitions = {**_read(SHARED)["$defs"], **own}

    def known(field: dict[str, Any]) -> str:
        return str(definitions.get(field.get("$ref", "").rpartition("/")[2], {}).get("description", ""))

    for name, field in node["properties"].items():
        must = "always" if name in node.get("required", ()) else ""
        yield f"| `{name}` | {must} | {_cell(_kind(field))} | {_cell(field.get('description') or known(field))} |"
    if isinstance(more := node.get("additionalProperties"), dict):
        yield f"| any other | | {_cell(_kind(more))} | {_cell(more.get('description') or known(more))} |"


def _kind(field: dict[str, Any]) -> str:
    """What a value is: its type, its definition, or its one value."""
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2].replace("_", " ")
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        many = len(field["enum"])
        return " or ".join(f"`{json.dumps(each)}`" for each in field["enum"]) if many < 6 else f"one of {many} words"
    if "anyOf" in field:
        return " or ".join(_kind(each) for each in field["anyOf"])
    kinds = [field["type"]] if isinstance(field["type"], str) else field["type"]
    inner = field.get("items") if "array" in kinds else field.get("additionalProperties")
    of = f" of {_kind(inner)}" if isinstance(inner, dict) else ""
    words = {"string": "text", "array": f"list{of}", "object": f"map{of}"}
    return " or ".join(words.get(kind, kind) for kind in kinds)


def _causes() -> str:
    rows = [f"| `{cause}` | {text} | {root_cause_class(cause) or ''} |" for cause, text in MEANING.items()]
    return "\n".join(["| cause | meaning | root-cause class |", "|---|---|---|", *rows])


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
