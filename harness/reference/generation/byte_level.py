"""Token ids back to text for byte-level BPE vocabularies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache


def byte_level_decode(ids: Sequence[int], vocabulary: Mapping[int, str], added: Mapping[int, str]) -> str:
    """The text of the tokens' bytes, added tokens by their own spelling; bytes that are no UTF-8 become U+FFFD.

    Shapes: vocabulary {id: token in byte-level letters}, added {id: text}.
    Raises: ValueError naming an id that is in neither.
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
    """Letter -> byte: printable Latin-1 stands for itself, the other 68 bytes for the letters from U+0100 on."""
    own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + i): byte for i, byte in enumerate(others)}
