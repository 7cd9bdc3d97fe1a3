"""Decode token ids to text with a byte-level BPE vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache


def byte_level_decode(ids: Sequence[int], vocabulary: Mapping[int, str], added: Mapping[int, str]) -> str:
    """Join the tokens' bytes and decode them as UTF-8; added tokens keep their spelling, invalid bytes become U+FFFD.

    Shapes: vocabulary {id: token in byte-level letters}, added {id: text}.
    Raises: ValueError naming an id that is in neither mapping.
    Source: bytes_to_unicode of openai/gpt-2, encoder.py.
    """
    data = bytearray()
    for i in ids:
        if i in added:
            data += added[i].encode("utf-8")
        elif i in vocabulary:
            data += bytes(_bytes()[letter] for letter in vocabulary[i])
        else:
            raise ValueError(f"ids: found {i}, which is neither in the vocabulary nor among the added tokens")
    return data.decode("utf-8", errors="replace")


@cache
def _bytes() -> dict[str, int]:
    """Letter -> byte: a printable Latin-1 letter is its own byte; U+0100 and up stand for the other 68 bytes."""
    own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + i): byte for i, byte in enumerate(others)}
