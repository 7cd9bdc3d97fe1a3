"""Contracts are checked by jsonschema_rs; on valid and broken documents it finds what jsonschema, written apart, finds.

Of each document both give the set of (path of the value, keyword of the schema that it breaks).
"""

import json
from copy import deepcopy
from functools import cache
from pathlib import Path

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.contract import schema as checked
from harness.contract.text.reader import load_yaml

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ("contract", "ship")
SEARCH = settings(
    max_examples=250, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
SEARCH_ONLY = settings(SEARCH, max_examples=20_000, phases=(Phase.generate,), report_multiple_bugs=False)
"""Ends at the first difference; so many examples, since a rare keyword may meet none of the first hundreds."""
VALUES = (None, True, False, 0, -1, 1, 0.0, 1.5, -2.5, 1e300, 2**70, "", "le", "cpu", "x y", "1.0.0", "kebab-case")
VALUES += ([], {}, [1, True], [1, 1.0], [None], {"why": "w"}, {"le": 1, "why": "w"}, {"float32": 1.0}, ["a", "a"])
"""What may stand anywhere. No text ends in a newline, before which Python's `$` matches and JSON Schema's does not."""
KEYS = ("le", "x y", "scale", "when", "unbound", "default", "eq", "x")
"""New names of keys. None is empty: the path that jsonschema_rs gives leaves an empty key out."""


@cache
def shipped(schema):
    """The contracts that are shipped, cut to each of their claims; ship.yaml, cut to each of its criteria."""
    if schema == "ship":
        plan = load_yaml(ROOT / "contracts" / "ship.yaml")[0]
        return [
            {**plan, "targets": {name: {**target, "criteria": [criterion]}}}
            for name, target in plan["targets"].items()
            for criterion in target["criteria"]
        ]
    read = [load_yaml(path)[0] for path in sorted((ROOT / "contracts").rglob("*.yaml")) if path.name != "ship.yaml"]
    return [{**each, "falsification_tests": [claim]} for each in read for claim in each["falsification_tests"]]


def places(value, way=()):
    """The way to every value of a document."""
    yield way
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*way, key))


def at(document, way):
    for step in way:
        document = document[step]
    return document


def put(document, way, value):
    """The document with another value at a place."""
    if not way:
        return value
    at(document, way[:-1])[way[-1]] = value
    return document


@st.composite
def documents(draw, schema):
    """A shipped document, or one that a few mutations made of it."""
    document = deepcopy(draw(st.sampled_from(shipped(schema))))
    for _ in range(draw(st.integers(0, 3))):
        change, kind = draw(st.sampled_from(CHANGES))
        ways = [way for way in places(document) if isinstance(at(document, way), kind)]
        if ways:
            document = change(draw, document, draw(st.sampled_from(ways)))
    return document


def dropped(draw, document, way):
    if way:
        del at(document, way[:-1])[way[-1]]
    return document


def renamed(draw, document, way):
    holder = at(document, way)
    if holder:
        key = draw(st.sampled_from(list(holder)))
        holder[draw(st.sampled_from((key + "s", key.upper(), *KEYS)))] = holder.pop(key)
    return document


def retyped(draw, document, way):
    return put(document, way, deepcopy(draw(st.sampled_from(VALUES))))


def doubled(draw, document, way):
    value = at(document, way)
    if value:
        value.append(deepcopy(draw(st.sampled_from(value))))
    return document


def moved(draw, document, way):
    """The value of one place at another, where its type may fit and its words do not."""
    return put(document, way, deepcopy(at(document, draw(st.sampled_from(list(places(document)))))))


def nested(draw, document, way):
    value = at(document, way)
    return put(document, way, draw(st.sampled_from(([value], {"le": value}, {"any_of": [value]}, {"all_of": value}))))


def widened(draw, document, way):
    """One more key or item of any kind."""
    value, extra = at(document, way), deepcopy(draw(st.sampled_from(VALUES)))
    if isinstance(value, dict):
        value[draw(st.sampled_from(KEYS))] = extra
    elif isinstance(value, list):
        value.append(extra)
    return document


def emptied(draw, document, way):
    return put(document, way, type(at(document, way))())


def shifted(draw, document, way):
    return put(document, way, draw(st.sampled_from((0, -1, 0.5, 1.0, True))))


CHANGES = (
    (emptied, (dict, list, str)),
    (shifted, (int, float)),
    (dropped, object),
    (renamed, dict),
    (retyped, object),
    (doubled, list),
    (moved, object),
    (nested, object),
    (widened, (dict, list)),
)
"""Each mutation with the kind of value that it changes."""


def by_rust(validator, document):
    return {(tuple(e.instance_path), str(e.kind.name)) for e in validator.iter_errors(document)}


def by_python(validator, document):
    """jsonschema names the keyword that a key breaks; jsonschema_rs names `propertyNames`, below which it stands."""
    found = set()
    for error in validator.iter_errors(document):
        keyword = "propertyNames" if "propertyNames" in error.absolute_schema_path else error.validator
        found.add((tuple(error.absolute_path), keyword))
    return found


def agreement(schema, rust, python, search=SEARCH):
    """A property test of two validators on the documents of a schema."""

    @search
    @given(documents(schema))
    def agree(document):
        assert by_rust(rust, document) == by_python(python, document)

    return agree


def theirs(schema):
    text = json.loads((ROOT / "harness" / "contract" / f"{schema}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(text)
    return text


@pytest.mark.parametrize("schema", SCHEMAS)
def test_shipped_documents_are_right_for_both(schema):
    python = jsonschema.Draft202012Validator(theirs(schema))
    for document in shipped(schema):
        assert by_rust(checked._validator(schema), document) == by_python(python, document) == set()


@pytest.mark.parametrize("schema", SCHEMAS)
def test_both_find_the_same_faults_in_the_same_places(schema):
    agreement(schema, checked._validator(schema), jsonschema.Draft202012Validator(theirs(schema)))()


def without(node, keyword):
    """A schema that never asks `keyword`; a property of that name stays."""
    if isinstance(node, list):
        return [without(each, keyword) for each in node]
    if not isinstance(node, dict):
        return node
    names = ("properties", "$defs")
    return {
        key: {name: without(each, keyword) for name, each in value.items()} if key in names else without(value, keyword)
        for key, value in node.items()
        if key != keyword
    }


BOTH = ("type", "required", "additionalProperties", "uniqueItems", "minItems", "pattern", "propertyNames")
ASKED = {"contract": (*BOTH, "minProperties", "enum", "else"), "ship": (*BOTH, "minProperties", "exclusiveMinimum")}


@pytest.mark.parametrize(("schema", "keyword"), [(schema, keyword) for schema in SCHEMAS for keyword in ASKED[schema]])
def test_a_validator_that_overlooks_a_keyword_is_found_out(schema, keyword):
    text = theirs(schema)
    deaf = without(text, keyword)
    assert deaf != text
    rust, python = jsonschema_rs.Draft202012Validator(deaf), jsonschema.Draft202012Validator(text)
    with pytest.raises(AssertionError):
        agreement(schema, rust, python, SEARCH_ONLY)()
