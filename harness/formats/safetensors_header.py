"""Read and validate the header of an untrusted safetensors file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.formats.byte_reader import ByteReader, opened

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
"""Element type -> bits; README of huggingface/safetensors."""
MOST_HEADER = 8 << 20
"""Bytes: enough for 70,000 tensors; the safetensors library allows 100 MB."""
MOST_PARTS, MOST_OBJECTS = 1_100_000, 65_536
"""Most commas, brackets and quotation marks, and most objects, in a header; bounds memory and time of parsing."""
MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class SafeTensor:
    """A tensor's entry; begin and end count from the start of the data."""

    name: str
    type: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class SafetensorsHeader:
    """The header, and the offset at which the data begins."""

    metadata: dict[str, str]
    tensors: tuple[SafeTensor, ...]
    data_offset: int


def read(path: str | Path) -> SafetensorsHeader:
    """The header of a safetensors file.

    Raises: Malformed naming the tensor or the key if the header violates the format, or the tensors'
            data overlap, leave a gap or are incomplete.
    Source: the format's description in huggingface/safetensors.
    """
    with opened(path) as reader:
        length = reader.count("Q", "the header's length")
        if length > MOST_HEADER:
            raise reader.wrong(f"the header claims {length} bytes, expected at most {MOST_HEADER}")
        begin = reader.skip(length, "the header")
        header = _json(reader, bytes(reader.data[begin : begin + length]))
        metadata = _metadata(reader, header.pop("__metadata__", {}))
        tensors = tuple(_tensor(reader, name, entry) for name, entry in header.items())
        _placed(reader, tensors, reader.size - reader.at)
        return SafetensorsHeader(metadata, tensors, reader.at)


def _json(reader: ByteReader, text: bytes) -> dict[str, Any]:
    if sum(text.count(mark) for mark in (b",", b"[", b"{", b'"')) > MOST_PARTS:
        raise reader.wrong(f"the header holds over {MOST_PARTS} values, more than any model has")
    if text.count(b"{") > MOST_OBJECTS:
        raise reader.wrong(f"the header holds over {MOST_OBJECTS} tensors, more than any model has")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=lambda pairs: _object(reader, pairs))
    except RecursionError:
        raise reader.wrong("the header is too deeply nested, expected an object of tensors") from None
    except (UnicodeDecodeError, ValueError) as problem:
        if str(problem).startswith(str(reader.path)):
            raise
        raise reader.wrong(f"the header is not JSON ({str(problem)[:200]})") from None
    if not isinstance(header, dict):
        raise reader.wrong(f"the header is a {type(header).__name__}, expected an object of tensors")
    return header


def _object(reader: ByteReader, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        name = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise reader.wrong(f"{name[:80]!r} appears twice in the header")
    return found


def _metadata(reader: ByteReader, found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise reader.wrong("__metadata__ is not an object whose values are strings")
    return found


def _tensor(reader: ByteReader, name: str, entry: Any) -> SafeTensor:
    shown = name if len(name) < 80 else name[:77] + "..."
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        keys = sorted(entry)[:4] if isinstance(entry, dict) else type(entry).__name__
        raise reader.wrong(f"tensor {shown!r} has {keys}, expected dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in BITS:
        raise reader.wrong(f"tensor {shown!r} has dtype {str(kind)[:40]!r}, expected one of {', '.join(BITS)}")
    if not (_naturals(shape) and len(shape) <= MOST_DIMENSIONS):
        raise reader.wrong(f"tensor {shown!r} has a shape that is not up to {MOST_DIMENSIONS} whole numbers")
    if not (_naturals(offsets) and len(offsets) == 2):
        raise reader.wrong(f"tensor {shown!r} has data_offsets that are not two whole numbers")
    bits = BITS[kind]
    for size in shape:
        bits *= size
    begin, end = offsets
    if bits % 8 or end - begin != bits // 8:
        raise reader.wrong(f"tensor {shown!r} takes {end - begin} bytes, but {kind} of shape {shape} has {bits // 8}")
    return SafeTensor(name, kind, tuple(shape), begin, end)


def _naturals(found: Any) -> bool:
    return isinstance(found, list) and all(type(item) is int and 0 <= item < 1 << 63 for item in found)


def _placed(reader: ByteReader, tensors: tuple[SafeTensor, ...], room: int) -> None:
    expected = 0
    for tensor in sorted(tensors, key=lambda item: (item.begin, item.end)):
        if tensor.begin != expected:
            raise reader.wrong(f"tensor {tensor.name!r} begins at data offset {tensor.begin}, expected {expected}")
        if tensor.end > room:
            raise reader.wrong(
                f"tensor {tensor.name!r} ends at data offset {tensor.end}, but the file holds {room}; it was cut short"
            )
        expected = tensor.end
    if expected != room:
        raise reader.wrong(f"the tensors end at data offset {expected}, but the file holds {room} bytes of data")
