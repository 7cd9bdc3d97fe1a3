"""A Hugging Face folder's tokenizer as the keys of a GGUF file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from formats.errors import Malformed

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""gguf.TokenType."""
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_MARKS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|"
_REST, _SPACE = r"| ?[^\s\p{L}\p{N}]+[\r\n]*", r"|\s*[\r\n]+|\s+(?!\S)|\s+"
PRE_TOKENIZERS = {
    _WORDS + r"\p{N}" + _REST + _SPACE: "qwen2",
    _WORDS + r"\p{N}{1,3}" + _REST + _SPACE: "llama-bpe",
    _MARKS + r"\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + _SPACE: "qwen35",
    "": "gpt-2",
}
"""The pattern that text is cut by before merges -> llama.cpp's name for it; none is the byte-level default."""
SPELLINGS = {
    "bos": ("<s>", "<|begin_of_text|>", "<|startoftext|>", "<bos>"),
    "eos": ("</s>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<eos>"),
    "padding": ("<pad>", "[PAD]", "<|endoftext|>", "<|finetune_right_pad_id|>"),
    "unknown": ("<unk>", "[UNK]"),
}
"""Where the folder does not say which token plays a role, the first of these that is an added token does."""
ROLES = {"bos": "bos_token", "eos": "eos_token", "padding": "pad_token", "unknown": "unk_token"}


def tokenizer_keys(folder: str | Path, rows: int) -> dict[str, Any]:
    """Every `tokenizer.*` key: tokens filled up to `rows` with unused `[PADi]`, types, merges, ids, template.

    Raises: Malformed if the folder has no byte-level BPE tokenizer, its pattern has no name in llama.cpp, or it has
            more tokens than the model has rows: tokens are never cut off.
    """
    folder = Path(folder)
    words = _json(folder / "tokenizer.json")
    settings = _json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    model = words.get("model") or {}
    if model.get("type") != "BPE" or not isinstance(model.get("vocab"), dict):
        raise Malformed(
            f"{folder / 'tokenizer.json'}: found model type {model.get('type')!r}, expected BPE with a vocab"
        )
    added = {item["content"]: item for item in words.get("added_tokens", [])}
    ids = {**model["vocab"], **{text: item["id"] for text, item in added.items()}}
    if max(ids.values()) >= rows:
        raise Malformed(
            f"{folder / 'tokenizer.json'}: found id {max(ids.values())}, expected less than the {rows} rows"
        )
    tokens, types = [f"[PAD{i}]" for i in range(rows)], [UNUSED] * rows
    for text, i in ids.items():
        tokens[i] = text
        types[i] = NORMAL if text not in added else CONTROL if added[text].get("special") else USER_DEFINED
    keys: dict[str, Any] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": _pre(folder, words),
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": [m if isinstance(m, str) else " ".join(m) for m in model.get("merges", [])],
        "tokenizer.ggml.add_bos_token": bool(settings.get("add_bos_token", False)),
    }
    for role, setting in ROLES.items():
        found = _special(settings.get(setting), added, SPELLINGS[role])
        if found is not None:
            keys[f"tokenizer.ggml.{role}_token_id"] = found
    template = settings.get("chat_template")
    if template is None and (folder / "chat_template.jinja").is_file():
        template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    return keys | ({"tokenizer.chat_template": template} if isinstance(template, str) else {})


def _pre(folder: Path, words: dict[str, Any]) -> str:
    found = words.get("pre_tokenizer") or {}
    parts = found.get("pretokenizers", [found])
    patterns = [p["pattern"].get("Regex", "") for p in parts if p.get("type") == "Split"]
    pattern = patterns[0] if patterns else ""
    if pattern not in PRE_TOKENIZERS:
        raise Malformed(
            f"{folder / 'tokenizer.json'}: llama.cpp has no name that is known here for the pattern {pattern[:60]!r}; "
            f"known: {', '.join(PRE_TOKENIZERS.values())}"
        )
    return PRE_TOKENIZERS[pattern]


def _special(named: Any, added: dict[str, Any], spellings: tuple[str, ...]) -> int | None:
    text = named.get("content") if isinstance(named, dict) else named
    if isinstance(text, str):
        return int(added[text]["id"]) if text in added else None
    return next((int(added[spelling]["id"]) for spelling in spellings if spelling in added), None)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Malformed(f"{path}: no such file; a file without a tokenizer is asked for with --no-tokenizer") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise Malformed(f"{path}: not JSON ({problem})") from None
    if not isinstance(found, dict):
        raise Malformed(f"{path}: found {type(found).__name__}, expected a JSON object")
    return found
