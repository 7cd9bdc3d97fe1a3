"""Read a foreign contract in any YAML, without silent loss.

Scalars keep their text; both values of a repeated key are kept; aliases and merge keys are expanded;
comments are kept with their line. Every change of form adds a note.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.contract.text.reader import Refused, decoded, events
from harness.contract.text.scalar import read_scalar
from harness.contract.text.writer import Plain
from harness.errors import UserError
from harness.provable.comments import Comments

MAX_BYTES = 16 << 20
MAX_VALUES = 200_000
"""Most values in one file with expanded aliases: nine lines of aliases can expand to a billion values."""
MAX_DEPTH = 32
"""Our own contracts may be nested 40 levels deep, and the kept source lies a few levels down."""


@dataclass(frozen=True)
class ForeignFile:
    """One file: its data, its comments as `line: text`, and notes on changes of form."""

    path: Path
    data: dict[str, Any]
    comments: tuple[str, ...]
    notes: tuple[str, ...]
    sha256: str


def read(path: Path) -> ForeignFile:
    """Read the file as data; a text becomes str, any other scalar `Plain`.

    Raises: UserError, one line with the place, if it is not one YAML map.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Refused(1, 1, f"{path.stat().st_size:,} bytes, expected at most {MAX_BYTES:,}; split the file")
        reader = _Reader(decoded(os.fspath(path)))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except Refused as refusal:
        line, column = refusal.place
        raise UserError(f"{path}:{line}:{column}: {refusal}") from None
    return ForeignFile(
        path=path,
        data=reader.data,
        comments=tuple(reader.comments.found()),
        notes=tuple(reader.notes),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


@dataclass
class _Open:
    """An unfinished list or map; `as_key`: it is a key of the surrounding map."""

    value: Any
    line: int
    anchor: str | None
    as_key: bool
    key: str | None = None
    merging: bool = False
    merged: list[dict[str, Any]] = field(default_factory=list)


class _Reader:
    """Builds plain data from the parser events of one text."""

    def __init__(self, text: str) -> None:
        self.comments = Comments(text)
        self.notes: list[str] = []
        self._stack: list[_Open] = []
        self._documents: list[Any] = []
        self._anchors: dict[str, Any] = {}
        self._values = 0
        for event in events(text):
            self._take(event)
        self._documents = [each for each in self._documents if not (isinstance(each, Plain) or each == "")]
        if not self._documents:
            raise Refused(1, 1, "the file is empty; expected a map with metadata and falsification_tests")
        if len(self._documents) > 1:
            raise Refused(1, 1, f"{len(self._documents)} YAML documents in one file, expected one; split the file")
        self.data = self._documents[0]
        if not isinstance(self.data, dict):
            found = f"a list of {len(self.data)}" if isinstance(self.data, list) else "text"
            raise Refused(1, 1, f"found {found}, expected a map with metadata and falsification_tests")

    def _take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            self.comments.cover(event)
            self._put(self._scalar(event, line), event.anchor, line, plain=event.implicit[0])
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise Refused(line, 1, f"the alias *{event.anchor} has no anchor before it; write the value instead")
            self._note(f"the alias *{event.anchor} is replaced by its value", line)
            self._put(self._copy(self._anchors[event.anchor], len(self._stack), line), None, line)
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(self._stack) >= MAX_DEPTH:
                raise Refused(line, 1, f"nested deeper than {MAX_DEPTH} levels; a contract needs about 8")
            if event.tag is not None:
                self._note(f"the tag {event.tag!r} is dropped", line)
            value: Any = [] if isinstance(event, yaml.SequenceStartEvent) else {}
            self._stack.append(_Open(value, line, event.anchor, as_key=self._awaits_key()))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()

    def _close(self) -> None:
        done = self._stack.pop()
        for more in done.merged:
            for key, value in more.items():
                done.value.setdefault(key, value)
        if done.as_key:
            self._note("a key that is a list or map becomes text", done.line)
            self._put(json.dumps(done.value, ensure_ascii=False), done.anchor, done.line)
        else:
            self._put(done.value, done.anchor, done.line)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> str:
        if event.tag is not None:
            self._note(f"the tag {event.tag!r} is dropped", line)
        if not event.implicit[0] and (event.style or event.tag is None or event.tag.endswith(":str")):
            return str(event.value)
        try:
            found = read_scalar(event.value)
        except ValueError:
            self._note(f"{_shortened(event.value)} is not a 64-bit integer and becomes text", line)
            return str(event.value)
        if isinstance(found, float) and not abs(found) < float("inf"):
            self._note(f"{_shortened(event.value)} is not a finite number and becomes text", line)
            return str(event.value)
        return str(event.value) if isinstance(found, str) else Plain(event.value)

    def _put(self, value: Any, anchor: str | None, line: int, *, plain: bool = False) -> None:
        self._count(line)
        if anchor is not None:
            self._anchors[anchor] = value
        if not self._stack:
            self._documents.append(value)
        elif isinstance(self._stack[-1].value, list):
            self._stack[-1].value.append(value)
        elif self._awaits_key():
            self._key(value, line, merge=plain and value == "<<")
        else:
            self._member(self._stack[-1], value, line)

    def _member(self, top: _Open, value: Any, line: int) -> None:
        key, top.key = str(top.key), None
        if top.merging:
            top.merging = False
            maps = value if isinstance(value, list) else [value]
            if maps and all(isinstance(each, dict) for each in maps):
                top.merged += maps
                return
        top.value[key] = value

    def _key(self, value: Any, line: int, *, merge: bool) -> None:
        top = self._stack[-1]
        if not isinstance(value, str):  # an alias of a list or map
            value = json.dumps(value, ensure_ascii=False)
        if merge:
            self._note("the merge key << is replaced by its keys", line)
            top.merging = True
        key = str(value) if not isinstance(value, Plain) else str(value) or "null"
        if key in top.value:
            again = f"{key} (again, line {line})"
            while again in top.value:
                again += "'"
            self._note(f"the key {_shortened(key)} is given twice; the second becomes {_shortened(again)}", line)
            key = again
        top.key = key

    def _awaits_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None

    def _copy(self, value: Any, depth: int, line: int) -> Any:
        self._count(line)
        if depth > MAX_DEPTH:
            raise Refused(line, 1, f"nested deeper than {MAX_DEPTH} levels after expanding aliases")
        if isinstance(value, dict):
            return {key: self._copy(item, depth + 1, line) for key, item in value.items()}
        return [self._copy(item, depth + 1, line) for item in value] if isinstance(value, list) else value

    def _count(self, line: int) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise Refused(line, 1, f"more than {MAX_VALUES:,} values after expanding aliases; split the file")

    def _note(self, what: str, line: int) -> None:
        self.notes.append(f"line {line}: {what}")


def _shortened(text: str) -> str:
    return repr(text) if len(text) <= 60 else repr(text[:57]) + "..."


def is_text(value: Any) -> bool:
    """Whether a value is text and not blank, as our own fields require."""
    return isinstance(value, str) and not isinstance(value, Plain) and bool(value.strip())
