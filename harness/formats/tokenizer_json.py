"""Read and validate tokenizer.json and tokenizer_config.json of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.formats.errors import Malformed
from harness.formats.json_object import read_object

ROLES = {"bos": "bos_token", "eos": "eos_token", "padding": "pad_token", "unknown": "unk_token"}
"""llama.cpp's name of a special token's role -> its key in tokenizer_config.json."""


@dataclass(frozen=True)
class Added:
    """An added token, outside the model's vocabulary."""

    id: int
    special: bool


@dataclass(frozen=True)
class TokenizerJson:
    """The entries of both files that the exporter and the inspector use."""

    type: str | None
    vocab: dict[str, int]
    """Token -> id, without added tokens."""
    added: dict[str, Added]
    merges: tuple[str, ...]
    """Each as `left right`."""
    pre: str | None
    """Type of the pre-tokenizer."""
    patterns: tuple[str, ...]
    """Regular expressions that split text."""
    special: dict[str, str]
    """Role (bos, eos, padding, unknown) -> text, for the roles that tokenizer_config.json names."""
    add_bos: bool
    template: str | None


def read(folder: Path) -> TokenizerJson:
    """Read both files of a folder; without tokenizer_config.json its settings are empty.

    Raises: Malformed naming the file and the entry that has the wrong type.
    """
    path = folder / "tokenizer.json"
    words = read_object(path)
    beside = folder / "tokenizer_config.json"
    settings = read_object(beside) if beside.is_file() else {}
    model = _mapping(path, "model", words.get("model"))
    vocab = _mapping(path, "model.vocab", model.get("vocab"))
    if not all(_id(i) for i in vocab.values()):
        raise Malformed(f"{path}: model.vocab must map each token to an id, a whole number")
    pre = _mapping(path, "pre_tokenizer", words.get("pre_tokenizer"))
    kind = model.get("type")
    return TokenizerJson(
        type=kind if isinstance(kind, str) else None,
        vocab=vocab,
        added=_added(path, words.get("added_tokens")),
        merges=_merges(path, model.get("merges")),
        pre=pre["type"] if isinstance(pre.get("type"), str) else None,
        patterns=_patterns(path, pre),
        special=_special(settings),
        add_bos=settings.get("add_bos_token") is True,
        template=_template(folder, settings),
    )


def _mapping(path: Path, name: str, found: Any) -> dict[str, Any]:
    if not isinstance(found, dict) and found is not None:
        raise Malformed(f"{path}: {name} is a {type(found).__name__}, expected an object")
    return found or {}


def _list(path: Path, name: str, found: Any) -> list[Any]:
    if not isinstance(found, list) and found is not None:
        raise Malformed(f"{path}: {name} is a {type(found).__name__}, expected a list")
    return found or []


def _id(found: Any) -> bool:
    return type(found) is int and 0 <= found < 1 << 31


def _added(path: Path, found: Any) -> dict[str, Added]:
    tokens = {}
    for i, item in enumerate(_list(path, "added_tokens", found)):
        item = _mapping(path, f"added_tokens[{i}]", item)
        if not isinstance(item.get("content"), str) or not _id(item.get("id")):
            raise Malformed(f"{path}: added_tokens[{i}] lacks a text `content` or a whole-number `id`")
        tokens[item["content"]] = Added(item["id"], bool(item.get("special")))
    return tokens


def _merges(path: Path, found: Any) -> tuple[str, ...]:
    merges = []
    for i, item in enumerate(_list(path, "model.merges", found)):
        pair = item.split(" ") if isinstance(item, str) else item
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise Malformed(f"{path}: model.merges[{i}] is {str(item)[:40]!r}, expected two tokens")
        merges.append(" ".join(pair))
    return tuple(merges)


def _patterns(path: Path, pre: dict[str, Any]) -> tuple[str, ...]:
    parts = _list(path, "pre_tokenizer.pretokenizers", pre.get("pretokenizers")) or [pre]
    splits = [part for part in parts if isinstance(part, dict) and part.get("type") == "Split"]
    patterns = [_mapping(path, "pre_tokenizer pattern", part.get("pattern")).get("Regex", "") for part in splits]
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise Malformed(f"{path}: pre_tokenizer's split pattern is not text")
    return tuple(patterns)


def _special(settings: dict[str, Any]) -> dict[str, str]:
    found = {}
    for role, key in ROLES.items():
        named = settings.get(key)
        text = named.get("content") if isinstance(named, dict) else named
        if isinstance(text, str):
            found[role] = text
    return found


def _template(folder: Path, settings: dict[str, Any]) -> str | None:
    if isinstance(settings.get("chat_template"), str):
        return str(settings["chat_template"])
    path = folder / "chat_template.jinja"
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, UnicodeError):
        raise Malformed(f"{path}: cannot be read as text") from None
