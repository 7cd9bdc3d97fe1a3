"""Read and validate the header of an untrusted GGUF file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.formats.byte_reader import MOST_NUMBERS, MOST_STRINGS, ByteReader, opened
from harness.formats.ggml_types import GGML_TYPES, tensor_bytes

NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 10: "Q", 11: "q", 12: "d"}
"""GGUF value type -> struct format; 7 is a bool, 8 a string, 9 an array."""
BOOL, STRING, ARRAY = 7, 8, 9
WIDTH = {"B": 1, "b": 1, "H": 2, "h": 2, "I": 4, "i": 4, "f": 4, "Q": 8, "q": 8, "d": 8}
MOST_KEYS, MOST_TENSORS = 16_384, 32_768
NAME_BYTES = 63
"""ggml reserves 64 bytes for a tensor's name, including the terminating zero."""
MOST_DIMENSIONS = 4


@dataclass(frozen=True)
class ArrayValue:
    """An array in the header: its offset in the file; `read_array` reads the elements."""

    type: int
    count: int
    offset: int


@dataclass(frozen=True)
class GgufTensor:
    """A tensor's entry; shape in NumPy's order, the contiguous axis last; offset from the start of the data."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    bytes: int


@dataclass(frozen=True)
class GgufHeader:
    """Everything before the data, and the data's offset."""

    version: int
    alignment: int
    keys: dict[str, Any]
    """Scalars as they are, arrays as `ArrayValue`."""
    tensors: tuple[GgufTensor, ...]
    data_offset: int
    trailing_bytes: int
    """Bytes after the last tensor and its padding; no tool reads them."""


def read(path: str | Path) -> GgufHeader:
    """The header of a GGUF file of version 2 or 3, little-endian.

    Raises: Malformed naming the key, tensor or offset if llama.cpp would reject the file, or if a count
            or length would exhaust memory or time.
    Source: docs/gguf.md of ggml; tensors must lie back to back, as llama.cpp's gguf_init_from_file requires.
    """
    with opened(path) as reader:
        version, tensor_count, key_count = _opening(reader)
        keys = _keys(reader, key_count)
        alignment = _alignment(reader, keys)
        tensors = _tensors(reader, tensor_count)
        data_offset = -(-reader.at // alignment) * alignment
        end = _placed(reader, tensors, data_offset, alignment)
        trailing = max(0, reader.size - data_offset - end)
        return GgufHeader(version, alignment, keys, tensors, data_offset, trailing)


def read_array(path: str | Path, value: ArrayValue, *, most: int | None = None) -> list[Any]:
    """The first `most` elements (None: all) of an array that `read` found."""
    wanted = value.count if most is None else min(most, value.count)
    with opened(path) as reader:
        reader.at = value.offset
        if value.type == STRING:
            return [reader.text(f"string {i}") for i in range(wanted)]
        form = NUMBERS.get(value.type, "B")
        numbers = list(
            struct.unpack_from(f"<{wanted}{form}", reader.data, reader.skip(wanted * WIDTH[form], "elements"))
        )
        return [bool(number) for number in numbers] if value.type == BOOL else numbers


def _opening(reader: ByteReader) -> tuple[int, int, int]:
    magic = bytes(reader.data[:4])
    if magic != b"GGUF":
        raise reader.wrong(f"found {magic!r} in its first four bytes, expected b'GGUF'")
    reader.at = 4
    version = reader.count("I", "the version")
    if version in (0x02000000, 0x03000000):
        raise reader.wrong("the file is big-endian; expected little-endian, convert it with gguf_convert_endian")
    if version not in (2, 3):
        raise reader.wrong(f"found GGUF version {version}, expected 2 or 3")
    tensors, keys = reader.count("Q", "the tensor count"), reader.count("Q", "the key count")
    for what, found, most in (("tensors", tensors, MOST_TENSORS), ("keys", keys, MOST_KEYS)):
        if found > most:
            raise reader.wrong(f"the header counts {found} {what}, expected at most {most}")
    return version, tensors, keys


def _keys(reader: ByteReader, count: int) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for i in range(count):
        name = reader.text(f"key {i} of {count}")
        if not name or "\0" in name:
            raise reader.wrong(f"key {i} is named {name!r}, expected a name without zero bytes")
        if name in keys:
            raise reader.wrong(f"key {name!r} appears twice")
        keys[name] = _value(reader, name)
    return keys


def _value(reader: ByteReader, name: str) -> Any:
    kind = reader.count("I", f"type of key {name!r}")
    if kind in NUMBERS:
        return reader.number(NUMBERS[kind], f"value of key {name!r}")
    if kind == BOOL:
        return bool(reader.count("B", f"value of key {name!r}"))
    if kind == STRING:
        return reader.text(f"value of key {name!r}")
    if kind == ARRAY:
        return _array(reader, name)
    raise reader.wrong(f"key {name!r} has value type {kind}, expected 0 to 12")


def _array(reader: ByteReader, name: str) -> ArrayValue:
    kind = reader.count("I", f"element type of key {name!r}")
    count = reader.count("Q", f"length of key {name!r}")
    begin = reader.at
    if kind == STRING:
        reader.strings_left -= count
        if reader.strings_left < 0:
            raise reader.wrong(f"key {name!r} counts {count} strings, expected at most {MOST_STRINGS} in all arrays")
        reader.step_over_texts(count, repr(name))
    elif kind in NUMBERS or kind == BOOL:
        reader.numbers_left -= count
        if reader.numbers_left < 0:
            raise reader.wrong(f"key {name!r} counts {count} numbers, expected at most {MOST_NUMBERS} in all arrays")
        reader.skip(count * WIDTH[NUMBERS.get(kind, "B")], f"{count} elements of key {name!r}")
    else:
        inner = "an array of arrays" if kind == ARRAY else f"elements of type {kind}"
        raise reader.wrong(f"key {name!r} holds {inner}, expected numbers, bools or strings")
    return ArrayValue(kind, count, begin)


def _alignment(reader: ByteReader, keys: dict[str, Any]) -> int:
    found = keys.get("general.alignment", 32)
    if not isinstance(found, int) or found < 1 or found > 1 << 20 or found & (found - 1):
        raise reader.wrong(f"general.alignment is {found!r}, expected a power of two up to {1 << 20}")
    return found


def _tensors(reader: ByteReader, count: int) -> tuple[GgufTensor, ...]:
    found: dict[str, GgufTensor] = {}
    for i in range(count):
        tensor = _tensor(reader, f"tensor {i} of {count}")
        if tensor.name in found:
            raise reader.wrong(f"tensor {tensor.name!r} appears twice")
        found[tensor.name] = tensor
    return tuple(found.values())


def _tensor(reader: ByteReader, what: str) -> GgufTensor:
    name = reader.text(f"name of {what}")
    if not name or "\0" in name or len(name.encode()) > NAME_BYTES:
        shown = name if len(name) < 80 else name[:77] + "..."
        raise reader.wrong(f"{what} is named {shown!r}, expected 1 to {NAME_BYTES} bytes without a zero")
    dimensions = reader.count("I", f"dimensions of tensor {name!r}")
    if not 0 < dimensions <= MOST_DIMENSIONS:
        raise reader.wrong(f"tensor {name!r} has {dimensions} dimensions, expected 1 to {MOST_DIMENSIONS}")
    shape = tuple(reader.count("Q", f"shape of tensor {name!r}") for _ in range(dimensions))[::-1]
    kind = reader.count("I", f"type of tensor {name!r}")
    if kind not in GGML_TYPES:
        raise reader.wrong(f"tensor {name!r} has type {kind}, expected one of {sorted(GGML_TYPES)}")
    if 0 in shape:
        raise reader.wrong(f"tensor {name!r} has shape {shape}, expected no empty dimension")
    try:
        size = tensor_bytes(kind, shape)
    except ValueError as problem:
        raise reader.wrong(f"tensor {name!r}: {problem}") from None
    return GgufTensor(name, GGML_TYPES[kind][0], shape, reader.count("Q", f"offset of tensor {name!r}"), size)


def _placed(reader: ByteReader, tensors: tuple[GgufTensor, ...], data_offset: int, alignment: int) -> int:
    """Check that the tensors lie back to back inside the file; return the offset at which their data ends."""
    expected = 0
    room = reader.size - data_offset
    for tensor in tensors:
        if tensor.offset != expected:
            raise reader.wrong(
                f"tensor {tensor.name!r} is at data offset {tensor.offset}, expected {expected}: "
                "tensors lie back to back, aligned"
            )
        if tensor.offset + tensor.bytes > room:
            raise reader.wrong(
                f"tensor {tensor.name!r} ends at data offset {tensor.offset + tensor.bytes}, "
                f"but the file holds {max(0, room)} bytes of data; it was cut short"
            )
        expected += -(-tensor.bytes // alignment) * alignment
    return expected
