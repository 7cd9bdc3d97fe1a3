"""Check a document against its JSON Schema (2020-12) and report each mistake as a sentence.

A message takes what was expected from the schema's `description`, and the word for a key from its `title`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from harness.contract.problem import DataPath, Mistake, closest, listed, nearest, shown


def check_shape(data: Any, schema: str) -> list[Mistake]:
    """Report every departure of `data` from the schema `contract` or `ship`, and every non-finite number.

    A missing key is reported at the path it would have.
    """
    findings = list(_nonfinite(data, ()))
    reported = {finding.path for finding in findings}
    for error in _validator(schema).iter_errors(data):
        # JSON has no NaN, so the validator receives null and reports its type; _nonfinite has reported the number.
        if tuple(error.instance_path) not in reported:
            findings += _findings(error, _load(schema))
    return findings


def claim_fields() -> tuple[str, ...]:
    """The names that a claim's fields may have."""
    return tuple(_load("contract")["$defs"]["claim"]["properties"])


@cache
def _load(schema: str) -> Any:
    return json.loads((Path(__file__).parent / f"{schema}.schema.json").read_text(encoding="utf-8"))


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(_load(schema))


def _nonfinite(value: Any, path: DataPath) -> Iterator[Mistake]:
    if isinstance(value, float):
        if not math.isfinite(value):
            text = "nan" if math.isnan(value) else ("-" if value < 0 else "") + "inf"
            yield Mistake(path, f"{_name(path)}: found .{text}, expected a finite number; nothing fails against it")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _nonfinite(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _nonfinite(item, (*path, i))


def _findings(error: Any, schema: Any) -> Iterator[Mistake]:
    path, kind = tuple(error.instance_path), error.kind.name
    node = schema
    for step in error.schema_path[:-1]:
        node = node[step]
    if kind == "additionalProperties":
        for key in error.kind.unexpected:
            if "unbound" in node["properties"] and key in claim_fields():
                message = f"{key!r} beside unbound: an unbound claim runs nothing; remove unbound to bind it"
                yield Mistake((*path, key), message, at_key=True)
                continue
            yield unknown_key((*path, key), node.get("title", "key"), node["properties"])
    elif kind == "required":
        missing, there = error.kind.property, error.instance
        # If a present key resembles the missing one, it is reported as an unknown key, so the missing one is not.
        if missing not in {closest(key, node["properties"]) for key in set(there) - set(node["properties"])}:
            yield Mistake((*path, missing), f"{_name(path)}: missing {missing!r}; add it", at_key=True)
    elif kind == "propertyNames":
        key = error.kind.error.instance
        yield Mistake((*path, key), f"found the key {key!r}, expected {node['description']}", at_key=True)
    elif kind == "anyOf":
        yield Mistake(path, f"{_name(path)}: found no operator, expected {node['description']}", at_key=True)
    else:
        guess = nearest(str(error.instance), [str(each) for each in node.get("enum", ())])
        yield Mistake(path, f"{_name(path)}: found {shown(error.instance)}, expected {node['description']}{guess}")


def unknown_key(path: DataPath, kind: str, valid: Iterable[str]) -> Mistake:
    """The mistake for a key that is not one of `valid`."""
    valid, key = list(valid), str(path[-1])
    return Mistake(path, f"unknown {kind} {key!r}{nearest(key, valid)} (valid: {listed(valid, 20)})", at_key=True)


def _name(path: DataPath) -> str:
    """The path inside its claim or target as dotted text: accept.err_ratio.le, explore.rows[0]."""
    steps = list(path)
    if steps[:1] in (["falsification_tests"], ["targets"]) and len(steps) > 2:
        steps = steps[2:]
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".") or "the file"
