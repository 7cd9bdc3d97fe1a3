"""Decode token ids with the checkpoint's own tokenizer."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

ARRAYS = "torch"


def detokenize(ids: list[int], folder: str) -> str:
    """Decode ids to text; special tokens are spelled out. Raises: FileNotFoundError if there is no tokenizer.json."""
    text: str = _tokenizer(folder).decode(list(ids), skip_special_tokens=False)
    return text


@lru_cache(maxsize=2)
def _tokenizer(folder: str) -> Any:
    from tokenizers import Tokenizer

    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected the tokenizer in the checkpoint's folder")
    return Tokenizer.from_file(str(path))
