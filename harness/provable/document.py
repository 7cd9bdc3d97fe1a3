"""Convert one foreign contract: map known fields to ours, make its tests claims, and keep everything else."""

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
from harness.provable.source import ForeignFile, is_text

TESTS = ("falsification_tests", "falsification", "gates")
"""Sections whose entries are tests."""
STATEMENTS = ("proof_obligations", "invariants")
"""Sections of untested statements, which become claims if the contract has no tests."""
_FIELDS = {"id", "rule", "prediction", "test"}
"""In a section of tests, a map with one of these keys is one test; a map without them is a map of tests."""
_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", re.ASCII)
_AGAIN = re.compile(r" \(again, line \d+\)'*$")


@dataclass
class Document:
    """A foreign contract in parts; `rest` holds everything for which our format has no field."""

    source: ForeignFile
    metadata: dict[str, Any]
    equations: dict[str, str]
    entries: list[Entry]
    rest: dict[str, Any]
    wanted: str
    """The contract's own id in our spelling; `Batch` may change it."""
    depends_on: list[str] = field(default_factory=list)
    """As the source has it; `Batch` decides which of these dependencies apply."""
    notes: list[str] = field(default_factory=list)

    @property
    def file(self) -> str:
        return str(self.source.path)

    def sections(self) -> dict[str, int]:
        """The kept sections besides the tests: name -> number of entries, 0 for a single value."""
        return {key: len(each) if isinstance(each, (list, dict)) else 0 for key, each in self.rest.items()}


def take_apart(source: ForeignFile) -> Document:
    """Split the contract into its parts.

    Raises: UserError if the file already is a harness contract, or holds no test and no statement.
    """
    rest = dict(source.data)
    _refuse_our_own(source)
    entries = [each for section in TESTS for each in _entries(rest, section)]
    for section in STATEMENTS if not entries else ():
        entries = entries or list(_entries(rest, section))
    if not entries:
        raise UserError(
            f"{source.path}: found no test; expected entries in falsification_tests, gates, falsification, "
            f"proof_obligations or invariants (found {listed(map(ascii, source.data))})"
        )
    notes = [*source.notes, *_words(source.data)]
    metadata, depends_on, wanted = _metadata(rest, source, notes)
    equations = _equations(rest)
    return Document(source, metadata, equations, entries, rest, wanted, depends_on, notes)


def _words(data: Any) -> Iterator[str]:
    """Notes on statements that an import cannot confirm: discharged tests, and wrong versions described in words."""
    keys = Counter(_keys(data))
    if keys["discharge_status"]:
        yield f"discharge_status {keys['discharge_status']} times: kept, but not used; only a run decides a verdict"
    wrong = [f"{name} {keys[name]}" for name in ("mutation", "counter_example_classes") if keys[name]]
    if wrong:
        yield f"{', '.join(wrong)}: wrong versions in words; write a mutant for each when you bind its claim"


def _keys(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        yield from data
    for each in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from _keys(each)


def _refuse_our_own(source: ForeignFile) -> None:
    """Raises: UserError if the file is a harness contract."""
    tests = source.data.get("falsification_tests")
    bound = isinstance(tests, list) and any(isinstance(t, dict) and {"falsifier", "accept"} <= t.keys() for t in tests)
    kept = source.data.get("imported")
    if bound or (isinstance(kept, dict) and "sha256" in kept):
        raise UserError(f"{source.path}: already is a harness contract; check it with `harness validate {source.path}`")


def _entries(rest: dict[str, Any], section: str) -> Iterator[Entry]:
    """Remove a section and its repetitions from `rest`, and yield their entries."""
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


def _metadata(rest: dict[str, Any], source: ForeignFile, notes: list[str]) -> tuple[dict[str, Any], list[str], str]:
    """(our metadata without its id, the source's depends_on, the wanted id); removes the used keys from `rest`."""
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
    """The source's version if it is a semantic version, else one made from it, with a note."""
    found = theirs["version"] if "version" in theirs else rest.get("version")
    text = str(found) if isinstance(found, str) else ""
    if _SEMVER.fullmatch(text):
        theirs.pop("version", None)
        return text
    numbers = re.fullmatch(r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?", text, re.ASCII)
    version = ".".join(str(int(each or 0)) for each in numbers.groups()) if numbers else "0.0.0"
    notes.append(f"version {text!r} becomes {version}" if text else f"no version; it becomes {version}")
    return version


def _equations(rest: dict[str, Any]) -> dict[str, str]:
    """Name -> formula; other keys of an equation stay in `rest`."""
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
