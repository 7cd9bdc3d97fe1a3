"""Read little-endian numbers and strings from a memory-mapped file, with a bounds check on every read."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.formats.errors import Malformed

MOST_TEXT = 8 << 20
"""Bytes of all strings read from one file; the largest vocabulary in use takes four million."""
MOST_OF_ONE = 1 << 20
"""Bytes of one string; the longest chat template in use takes a tenth of it."""


MOST_STRINGS = 1_048_576
"""Strings in all arrays of one file: four times the largest vocabulary in use; skipping them takes half a second."""
MOST_NUMBERS = 4_194_304
"""Numbers in all arrays of one file: a vocabulary of 262,144 needs that many scores and that many types."""


class ByteReader:
    """A position in a file's bytes; every read takes `what`, the name of the thing read, for its error message."""

    def __init__(self, data: mmap.mmap | bytes, path: Path) -> None:
        self.data = data
        self.path = path
        self.size = len(data)
        self.at = 0
        self.text_left = MOST_TEXT
        self.strings_left, self.numbers_left = MOST_STRINGS, MOST_NUMBERS

    def skip(self, count: int, what: str) -> int:
        """Step over `count` bytes; returns where they began.

        Raises: Malformed if the file ends earlier.
        """
        begin = self.at
        if count > self.size - begin:
            raise self.wrong(f"{what} needs {count} bytes at offset {begin}, but the file ends at {self.size}")
        self.at = begin + count
        return begin

    def number(self, form: str, what: str) -> int | float:
        """One number of a struct format character, little-endian."""
        found: int | float = struct.unpack_from("<" + form, self.data, self.skip(struct.calcsize("<" + form), what))[0]
        return found

    def count(self, form: str, what: str) -> int:
        """One unsigned number."""
        return int(self.number(form, what))

    def text(self, what: str) -> str:
        """A string: 64-bit length, then that many bytes of UTF-8."""
        length = self.count("Q", f"length of {what}")
        begin = self.skip(length, what)
        if length > MOST_OF_ONE:
            raise self.wrong(f"{what} is {length} bytes long, expected at most {MOST_OF_ONE}")
        self.text_left -= length
        if self.text_left < 0:
            raise self.wrong(f"{what} brings its strings to over {MOST_TEXT} bytes, more than any model has")
        try:
            return bytes(self.data[begin : begin + length]).decode("utf-8")
        except UnicodeDecodeError as problem:
            raise self.wrong(f"{what} at offset {begin} is not UTF-8 ({problem.reason})") from None

    def step_over_texts(self, count: int, what: str) -> None:
        """Step over `count` strings without decoding them, since a vocabulary has hundreds of thousands."""
        length_at, data, size, at = struct.Struct("<Q").unpack_from, self.data, self.size, self.at
        for i in range(count):
            if size - at < 8 or length_at(data, at)[0] > size - at - 8:
                raise self.wrong(f"string {i} of {what} at offset {at} passes the end of the file at {size}")
            at += 8 + length_at(data, at)[0]
        self.at = at

    def wrong(self, why: str) -> Malformed:
        """The error for this file."""
        return Malformed(f"{self.path}: {why}")


@contextmanager
def opened(path: str | Path) -> Iterator[ByteReader]:
    """A reader over the memory-mapped file, which loads only the pages that are read.

    Raises: Malformed if the file does not exist, is empty or cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            try:
                mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:
                raise Malformed(f"{path}: the file is empty") from None
            with mapped:
                yield ByteReader(mapped, path)
    except OSError as problem:
        raise Malformed(f"{path}: cannot be read ({problem.strerror or problem})") from None
