"""One foreign contract on its way to ours: what has a field of ours, the tests as claims, all the rest kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.contract.problem import listed
from harness.errors import UserError
from harness.provable.entry import Entry, entry
from harness.provable.names import contract_id
from harness.provable.source import Source, is_text

TESTS = ("falsification_tests", "falsification", "gates")
"""The sections whose entries are tests."""
STATEMENTS = ("proof_obligations", "invariants")
"""What becomes claims where there are no tests: what should hold, with nothing that tries it."""
_FIELDS = {"id", "rule", "prediction", "test"}
"""A map with one of these is a test; any other, where tests are expected, is a map of them."""
_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", re.ASCII)
_AGAIN = re.compile(r" \(again, line \d+\)'*$")


@dataclass
class Document:
    """A foreign contract taken apart; `rest` is what no field of ours holds."""

    source: Source
    metadata: dict[str, Any]
    equations: dict[str, str]
    entries: list[Entry]
    rest: dict[str, Any]
    wanted: str
    """The contract id that it asks for, in our spelling."""
    depends_on: list[str] = field(default_factory=list)
    """As written; what of it holds among the contracts at hand is for their batch to say."""
    notes: list[str] = field(default_factory=list)

    @property
    def file(self) -> str:
        return str(self.source.path)

    def sections(self) -> dict[str, int]:
        """What is kept besides the tests: section -> how many entries it has, 0 for a single value."""
        return {key: len(each) if isinstance(each, (list, dict)) else 0 for key, each in self.rest.items()}


def take_apart(source: Source) -> Document:
    """The contract's parts.

    Raises: UserError if the file is one of our own contracts already, or holds nothing that could be a claim.
    """
    rest = dict(source.data)
    _refuse_our_own(source)
    entries = [each for section in TESTS for each in _entries(rest, section)]
    for section in STATEMENTS if not entries else ():
        entries = entries or list(_entries(rest, section))
    if not entries:
        raise UserError(
            f"{source.path}: no test in it; expected entries in falsification_tests, gates, falsification, "
            f"proof_obligations or invariants (found {listed(map(ascii, source.data))})"
        )
    notes = [*source.notes, *_words(source.data)]
    metadata, depends_on, wanted = _metadata(rest, source, notes)
    equations = _equations(rest)
    return Document(source, metadata, equations, entries, rest, wanted, depends_on, notes)


def _words(data: Any) -> Iterator[str]:
    """What the source says in words that only a run can say here: discharged tests, wrong versions."""
    keys = Counter(_keys(data))
    if keys["discharge_status"]:
        yield f"discharge_status {keys['discharge_status']} times: kept, and believed nowhere; a run decides"
    wrong = [f"{name} {keys[name]}" for name in ("mutation", "counter_example_classes") if keys[name]]
    if wrong:
        yield f"{', '.join(wrong)}: wrong versions in words; each is a mutant to write when its claim is bound"


def _keys(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        yield from data
    for each in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from _keys(each)


def _refuse_our_own(source: Source) -> None:
    tests = source.data.get("falsification_tests")
    bound = isinstance(tests, list) and any(isinstance(t, dict) and {"falsifier", "accept"} <= t.keys() for t in tests)
    kept = source.data.get("imported")
    if bound or (isinstance(kept, dict) and "sha256" in kept):
        raise UserError(f"{source.path}: is a harness contract already; `harness validate {source.path}` checks it")


def _entries(rest: dict[str, Any], section: str) -> Iterator[Entry]:
    """The entries of a section and of its repetitions, taken out of `rest`."""
    for key in [key for key in rest if _AGAIN.sub("", key) == section]:
        value = rest[key]
        if isinstance(value, list) and value:
            del rest[key]
            yield from (entry(each, section) for each in value)
        elif isinstance(value, dict) and value:
            del rest[key]
            if value.keys() & _FIELDS:
                yield entry(value, section)
            else:
                yield from (entry(each, section, name) for name, each in value.items())
        elif is_text(value):
            del rest[key]
            yield entry(value, section)


def _metadata(rest: dict[str, Any], source: Source, notes: list[str]) -> tuple[dict[str, Any], list[str], str]:
    """(our metadata without its id, depends_on as written, the wanted id); what it takes leaves `rest`."""
    theirs = dict(rest["metadata"]) if isinstance(rest.get("metadata"), dict) else {}
    named = next((each for each in (theirs.get("id"), *(rest.get(k) for k in _IDS)) if is_text(each)), None)
    wanted = contract_id(named) if named else ""
    wanted = wanted or contract_id(source.path.stem) or f"contract-{source.sha256[:8]}"
    ours: dict[str, Any] = {"version": _version(theirs, rest, notes)}
    for key in ("title", "description"):
        if is_text(theirs.get(key)):
            ours[key] = theirs.pop(key)
    if _are_texts(theirs.get("references")):
        ours["references"] = theirs.pop("references")
    depends_on: list[str] = theirs["depends_on"] if _are_texts(theirs.get("depends_on")) else []
    if isinstance(rest.get("metadata"), dict):
        del rest["metadata"]
        if theirs:
            rest["metadata"] = theirs
    return ours, depends_on, wanted


_IDS = ("contract_id", "contract", "id")


def _version(theirs: dict[str, Any], rest: dict[str, Any], notes: list[str]) -> str:
    """A semantic version made of theirs, which is taken only where it is one."""
    found = theirs["version"] if "version" in theirs else rest.get("version")
    text = str(found) if isinstance(found, str) else ""
    if _SEMVER.fullmatch(text):
        theirs.pop("version", None)
        return text
    numbers = re.fullmatch(r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?", text, re.ASCII)
    version = ".".join(str(int(each or 0)) for each in numbers.groups()) if numbers else "0.0.0"
    notes.append(f"version {text!r} is written {version}" if text else f"no version in words; written {version}")
    return version


def _equations(rest: dict[str, Any]) -> dict[str, str]:
    """Name -> formula; what more they say of an equation stays in `rest`."""
    theirs = rest.get("equations")
    if not isinstance(theirs, dict):
        return {}
    ours: dict[str, str] = {}
    kept: dict[str, Any] = {}
    for name, equation in theirs.items():
        more = dict(equation) if isinstance(equation, dict) else {}
        if is_text(equation):
            ours[name] = equation
        elif is_text(more.get("formula")):
            ours[name] = more.pop("formula")
            if more:
                kept[name] = more
        else:
            kept[name] = equation
    if kept or not ours:
        rest["equations"] = kept
    else:
        del rest["equations"]
    return ours


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(is_text(each) for each in value)
