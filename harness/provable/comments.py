"""Find the comments of a YAML text, which the YAML parser drops."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_START = re.compile(r"(?:^|(?<=[ \t]))#")
_HEADER = re.compile(r"[|>][-+0-9]*")
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""The line ends that the parser recognises."""


class Comments:
    """Finds comments: a # at the start of a word, outside all scalars, which `cover` registers first."""

    def __init__(self, text: str) -> None:
        self._lines = _BREAK.split(text)
        self._covered: dict[int, list[tuple[int, float]]] = {}
        self._inside: set[int] = set()

    def cover(self, event: Any) -> None:
        """Register a scalar's place; a # inside it is not a comment."""
        first, start = event.start_mark.line, event.start_mark.column
        last, end = event.end_mark.line, event.end_mark.column
        if event.style in ("|", ">"):
            header = _HEADER.match(self._lines[first], start)
            self._covered.setdefault(first, []).append((start, header.end() if header else start))
        else:
            self._covered.setdefault(first, []).append((start, end if first == last else float("inf")))
        if last > first:
            self._inside.update(range(first + 1, last))
            self._covered.setdefault(last, []).append((0, end))

    def found(self) -> Iterator[str]:
        """`line: text` of each comment, in order."""
        for number, line in enumerate(self._lines):
            if number in self._inside:
                continue
            covered = self._covered.get(number, ())
            for match in _START.finditer(line):
                if not any(start <= match.start() < end for start, end in covered):
                    yield f"{number + 1}: {line[match.start() :].rstrip()}"
                    break
