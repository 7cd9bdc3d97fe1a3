"""Read YAML strictly: YAML 1.2 scalars, unique string keys, a line and column for each key and value.

The reader handles the parser's events with an explicit stack, so deep nesting cannot exceed Python's recursion limit.
It refuses anchors, aliases, tags and merge keys, so that every YAML parser reads a contract as the same data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from harness.contract.problem import DataPath, Problem
from harness.contract.text.scalar import read_scalar

MAX_DEPTH = 40
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that YAML 1.2 forbids in a file (section 5.1)."""
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Positions:
    """Line and column of every key and every value, by its path in the document. Both count from 1."""

    keys: dict[DataPath, tuple[int, int]] = field(default_factory=dict)
    values: dict[DataPath, tuple[int, int]] = field(default_factory=dict)

    def at(self, path: DataPath, *, key: bool = False) -> tuple[int, int]:
        """Line and column of the value (or its key); if it is missing, those of the nearest key or value around it."""
        for end in range(len(path), -1, -1):
            whole = path[:end]
            places = self.keys if (key or end < len(path)) and whole in self.keys else self.values
            if whole in places:
                return places[whole]
        return (1, 1)


class Refused(Exception):
    """Reading stops at this place because of an error in the file."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.place = (line, column)


@dataclass
class _Open:
    """A list or map whose end has not been read yet."""

    value: Any
    path: DataPath
    key: str | None = None


def load_yaml(path: str | os.PathLike[str]) -> tuple[Any, Positions, list[Problem]]:
    """Read one document: its data (None if unreadable), the place of each part, and its problems."""
    reader = _Reader(os.fspath(path))
    try:
        reader.read(decoded(reader.file))
    except Refused as refusal:
        reader.problems.append(Problem(reader.file, *refusal.place, "error", str(refusal)))
        return None, reader.positions, reader.problems
    return reader.data, reader.positions, reader.problems


def events(text: str) -> Iterator[Any]:
    """The parser's events of one file.

    Raises: Refused at the place of a syntax error.
    """
    try:
        yield from yaml.parse(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text) from None
    except yaml.reader.ReaderError as error:
        line, column = _place_of_control(text)
        raise Refused(line, column, f"not text: {error.reason}; save the file as plain UTF-8") from None


class _Reader:
    """Build plain Python data from the events of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.data: Any = None
        self.positions = Positions()
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._documents = 0

    def read(self, text: str) -> None:
        for event in events(text):
            self._take(event)
        if not self._documents:
            raise Refused(1, 1, "the file is empty; expected a map of keys to values")

    def _take(self, event: Any) -> None:
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.NodeEvent):
            _refuse_indirection(event, place)
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event, place)
            else:
                self._open([] if isinstance(event, yaml.SequenceStartEvent) else {}, place)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._stack.pop()
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise Refused(*place, "a second document begins here; expected one, put it in a file of its own")

    def _open(self, value: Any, place: tuple[int, int]) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise Refused(*place, f"nested deeper than {MAX_DEPTH} levels; a contract needs about 8")
        if self._awaits_key():
            raise Refused(*place, "found a list or map as a key, expected text")
        self._stack.append(_Open(value, self._put(value, place)))

    def _scalar(self, event: yaml.ScalarEvent, place: tuple[int, int]) -> None:
        try:
            value = read_scalar(event.value) if event.implicit[0] else event.value
        except ValueError as error:
            self._note(place, str(error))
            value = 0
        if self._awaits_key():
            self._key(value, event, place)
        else:
            self._put(value, place)

    def _key(self, value: Any, event: yaml.ScalarEvent, place: tuple[int, int]) -> None:
        top = self._stack[-1]
        if value == "<<" and event.implicit[0]:
            raise Refused(*place, "found the merge key <<, which is not supported; write the keys out")
        if not isinstance(value, str):
            self._note(place, f"key {event.value or 'null'} is not text; put it in quotes")
        key = str(event.value)
        if key in top.value:
            line, column = self.positions.keys[(*top.path, key)]
            self._note(place, f"duplicate key {key!r}, first at line {line}, column {column}; keep one of them")
        else:
            self.positions.keys[(*top.path, key)] = place
        top.key = key

    def _put(self, value: Any, place: tuple[int, int]) -> DataPath:
        path: DataPath = ()
        if not self._stack:
            self.data = value
        else:
            top = self._stack[-1]
            if top.key is None:
                path = (*top.path, len(top.value))
                top.value.append(value)
            else:
                path = (*top.path, top.key)
                top.value[top.key] = value
                top.key = None
        self.positions.values[path] = place
        return path

    def _awaits_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].key is None and isinstance(self._stack[-1].value, dict)

    def _note(self, place: tuple[int, int], message: str) -> None:
        self.problems.append(Problem(self.file, *place, "error", message))


def _refuse_indirection(event: Any, place: tuple[int, int]) -> None:
    if isinstance(event, yaml.AliasEvent):
        raise Refused(*place, f"found the alias *{event.anchor}; aliases are not supported, write the value out")
    if event.anchor is not None:
        raise Refused(*place, f"found the anchor &{event.anchor}; anchors are not supported, write the value out")
    if event.tag is not None:
        raise Refused(*place, f"found the tag {event.tag!r}; tags are not supported, remove it")


def decoded(file: str) -> str:
    """Read the file's text, without a byte order mark.

    Raises: Refused if it cannot be read or is not UTF-8.
    """
    try:
        with open(file, "rb") as stream:
            raw = stream.read()
    except OSError as error:
        raise Refused(1, 1, f"cannot be read: {error.strerror}") from None
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise Refused(line, column, message) from None


def _syntax_error(error: yaml.MarkedYAMLError, text: str) -> Refused:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.splitlines()
    if line < len(lines) and lines[line][column : column + 1] == "\t":
        return Refused(line + 1, column + 1, "not YAML: a tab where only spaces may indent; use spaces")
    begun = error.context_mark if error.context else None
    where = f" {error.context} that begins at line {begun.line + 1}, column {begun.column + 1}" if begun else ""
    return Refused(line + 1, column + 1, f"not YAML: {error.problem}{where}; check brackets, quotes and indentation")


def _place_of_control(text: str) -> tuple[int, int]:
    # The C parser reports an offset in bytes and the Python parser one in characters, so neither is used.
    found = _UNPRINTABLE.search(text)
    at = found.start() if found else 0
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
