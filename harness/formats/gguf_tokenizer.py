"""Convert a Hugging Face folder's tokenizer to the keys of a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.formats import tokenizer_json
from harness.formats.errors import Malformed

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
"""Regular expression that splits text before BPE merges -> llama.cpp's name for it; "" is the byte-level default."""
SPELLINGS = {
    "bos": ("<s>", "<|begin_of_text|>", "<|startoftext|>", "<bos>"),
    "eos": ("</s>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<eos>"),
    "padding": ("<pad>", "[PAD]", "<|endoftext|>", "<|finetune_right_pad_id|>"),
    "unknown": ("<unk>", "[UNK]"),
}
"""If the folder does not name a role's token, the first of these that is an added token takes the role."""


def tokenizer_keys(folder: str | Path, rows: int) -> dict[str, Any]:
    """Every `tokenizer.*` key: tokens filled up to `rows` with unused `[PADi]`, types, merges, ids, template.

    Raises: Malformed if the folder has no byte-level BPE tokenizer, llama.cpp has no name for its pattern, or a
            token's id exceeds the model's rows: tokens are never dropped.
    """
    folder = Path(folder)
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise Malformed(f"{path}: no such file; use --no-tokenizer to export without a tokenizer")
    words = tokenizer_json.read(folder)
    if words.type != "BPE" or not words.vocab:
        raise Malformed(f"{path}: found model type {words.type!r}, expected BPE with a vocab")
    ids = {**words.vocab, **{text: token.id for text, token in words.added.items()}}
    if max(ids.values()) >= rows:
        raise Malformed(f"{path}: found id {max(ids.values())}, expected less than the {rows} rows")
    tokens, types = [f"[PAD{i}]" for i in range(rows)], [UNUSED] * rows
    for text, i in ids.items():
        tokens[i] = text
        added = words.added.get(text)
        types[i] = NORMAL if added is None else CONTROL if added.special else USER_DEFINED
    keys: dict[str, Any] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": _pre(path, words.patterns),
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": list(words.merges),
        "tokenizer.ggml.add_bos_token": words.add_bos,
    }
    for role, spellings in SPELLINGS.items():
        candidates = (words.special[role],) if role in words.special else spellings
        found = next((words.added[text].id for text in candidates if text in words.added), None)
        if found is not None:
            keys[f"tokenizer.ggml.{role}_token_id"] = found
    return keys | ({"tokenizer.chat_template": words.template} if words.template is not None else {})


def _pre(path: Path, patterns: tuple[str, ...]) -> str:
    pattern = patterns[0] if patterns else ""
    if pattern not in PRE_TOKENIZERS:
        raise Malformed(
            f"{path}: found no llama.cpp name for the pattern {pattern[:60]!r}; "
            f"known: {', '.join(PRE_TOKENIZERS.values())}"
        )
    return PRE_TOKENIZERS[pattern]
