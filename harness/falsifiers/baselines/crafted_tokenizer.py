"""A byte-level tokenizer whose merges expose a wrong split pattern, merge order or token type."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's split pattern. Source: transformers.models.qwen2.tokenization_qwen2."""
MERGES = (
    *(("1", "2"), ("12", "3")),  # across digits, which Qwen2 splits singly and llama.cpp's default in threes
    *((".", "Ċ"), (".Ċ", "Ċ")),  # a mark and a line end, one piece only in Qwen2
    *(("'", "S"), ("(", "x")),  # a capital contraction, a mark before letters
    *(("b", "c"), ("a", "b")),  # abc becomes a, bc: the earliest merge in the list wins, not the leftmost
    *(("x", "y"), ("xy", "xy"), ("y", "x")),
    *(("Ġ", "Ġ"), ("ĠĠ", "ĠĠ"), ("Ġ", "a")),
    *(("Ã", "©"), ("ð", "Ł"), ("ðŁ", "ĺ")),  # é, and the first bytes of an emoji
)
SPECIAL, PLAIN = ("<|im_start|>", "<|im_end|>", "<|fill|>"), ("<tool>",)
TEXTS = (
    *("123", "12", "1212312", "x123y", "a.\n\nb", "...\n\n", "it'S it's", "'S", "(x)", " (x(xy"),
    *("abc", "aabbcc", "xyxyxyx", "yxyxy", "     a", "a   a    a", "\n   \n", "é😀é", "😁😂", "abc<|im_end|>abc"),
    *(
        "12<|im_start|>3",
        "<|im_end|><|im_end|>",
        " <|im_start|> a",
        "<|im_end",
        "a<tool>bc",
        "<tool>12<|im_end|>",
        "<tool",
    ),
)


def write(folder: str | Path) -> int:
    """Write tokenizer.json and tokenizer_config.json; return the number of ids."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*alphabet, *dict.fromkeys(a + b for a, b in MERGES)])}
    words = Tokenizer(models.BPE(vocab=vocabulary, merges=list(MERGES)))
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    words.decoder = decoders.ByteLevel()
    words.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    words.add_tokens([AddedToken(token, special=False, normalized=False) for token in PLAIN])
    words.save(str(Path(folder) / "tokenizer.json"))
    settings = {"bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "pad_token": SPECIAL[2]}
    (Path(folder) / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return int(words.get_vocab_size())
