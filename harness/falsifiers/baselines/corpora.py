"""Tokenize training and held-out documents with the tokenizers library."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np


def corpus(tokenizer: str, train: dict[str, str], held_out: dict[str, str]) -> dict[str, Any]:
    """Every document's token ids, and the id of the unknown token.

    Shapes: {"train": {name: ids (n,)}, "held_out": {name: ids (m,)}, "unknown": id, or -1 if there is none}.
    Source: tokenizers.Tokenizer.encode_batch; `tokenizer` is the path of a tokenizer.json.
    """
    return {
        "train": dict(zip(train, encode(tokenizer, tuple(train.values())), strict=True)),
        "held_out": dict(zip(held_out, encode(tokenizer, tuple(held_out.values())), strict=True)),
        "unknown": unknown(tokenizer),
    }


# Cached, because eight megabytes of text take seconds, and candidate and mutants need the same ids.
@lru_cache(maxsize=4)
def encode(tokenizer: str, texts: tuple[str, ...]) -> Sequence[np.ndarray]:
    """Token ids of each text, int32, without added special tokens."""
    words = _load(tokenizer)
    return [np.array(item.ids, dtype=np.int32) for item in words.encode_batch(list(texts), add_special_tokens=False)]


def fresh(tokenizer: str, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text by a tokenizer.json that is read at each call; special tokens in a text get their ids."""
    from tokenizers import Tokenizer

    words = Tokenizer.from_file(tokenizer)
    return [list(item.ids) for item in words.encode_batch(list(texts), add_special_tokens=False)]


def unknown(tokenizer: str) -> int:
    """The id of the unknown token, -1 for a tokenizer without one."""
    words = _load(tokenizer)
    ids = [words.token_to_id(name) for name in (getattr(words.model, "unk_token", None), "<unk>", "[UNK]") if name]
    return next((int(found) for found in ids if found is not None), -1)


@lru_cache(maxsize=2)
def _load(tokenizer: str) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(tokenizer)
