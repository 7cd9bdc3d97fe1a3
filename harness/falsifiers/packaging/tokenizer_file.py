"""Falsifiers of an embedded tokenizer: its entries, and llama.cpp's ids of adversarial text."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.case import Case
from harness.consumers.llama_cpp import Request, ask
from harness.falsifiers.baselines import checkpoints, corpora, crafted_tokenizer
from harness.falsifiers.inputs.documents import tokenizer_of
from harness.falsifiers.inputs.exported import exported
from harness.falsifiers.inputs.prompts import spellings, tokenizer_json
from harness.observation import Observation
from harness.reference.generation.byte_level import byte_level_decode

MEASURES = {
    "tokens_wrong": "number of ids whose token differs from the tokenizer's, including unused rows after the tokens",
    "types_wrong": "number of ids with a wrong token type: special is control, filled up is unused, others normal",
    "merges_wrong": "number of merges that are missing, extra or in a wrong place",
    "pre_tokenizer_wrong": "1 if the file does not name the tokenizer's pre-tokenizer, else 0",
    "special_wrong": "number of special ids (begin, end, padding, unknown) and flags that differ from the folder's",
    "template_lost": "1 if the folder's chat template is missing from the file or differs there, else 0",
    "ids_differ": "number of texts whose ids by llama.cpp and by the tokenizers library differ",
    "texts_differ": "number of id lists that llama.cpp does not decode to their text",
}
NORMAL, CONTROL, UNUSED = 1, 3, 5
TEXTS = (
    "def f(x):\n    return x + 1\n",
    "<|im_start|>user\nWrite <|endoftext|> as text.<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|", "im_start|>", "a<|im_end|>b", "<|im_end|><|im_end|>", " <|endoftext|> ",
    "  two  blanks\t\ttabs \n\n\n lines   ", "   \n", " ", "\n", "\r\n\r\n", "trailing   ",
    "x" * 257, "ab" * 130, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "-" * 80, "=" * 79 + "\n",
    "I'll don't we've IT'S you'RE", "3.14159 1234567890 0x7fff 1e-5 ١٢٣", "snake_case camelCase __dunder__",
    "emoji 😀👩‍👩‍👧‍👦🏳️‍🌈 end", "中文 日本語 한국어", "العربية עברית हिन्दी ไทย", "é ñ ü ß Å Ω ж",
    "zero\u200bwidth\u00a0space\u3000wide", "\u202eright to left\u202c", "�\ufeff\u0001\x7f", "≤≥≠∑∫√∞",
    "line\u2028sep\x85nel",
)  # fmt: skip
"""Composed (NFC) text only, because transformers' Qwen2 composes decomposed text and llama.cpp does not."""


def embedded(subject: Any, case: Case, *, weights: str) -> Observation:
    """The tokenizer's keys in an exported file, against tokenizer.json and its settings."""
    with exported(subject, case, "trained", "Q8_0", weights) as (path, config, _, _):
        keys, _ = checkpoints.read_gguf(path)
    folder = Path(str(weights))
    words = tokenizer_json(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    vocabulary, added = spellings(str(weights))
    rows = int(config["vocab_size"])
    known = {**vocabulary, **added}
    tokens, types = keys.get("tokenizer.ggml.tokens") or [], keys.get("tokenizer.ggml.token_type") or []
    wanted = [known.get(i, f"[PAD{i}]") for i in range(rows)]
    kinds = [CONTROL if i in added else NORMAL if i in known else UNUSED for i in range(rows)]
    merges = [m if isinstance(m, str) else " ".join(m) for m in words["model"]["merges"]]
    ids = {text: i for i, text in added.items()}
    wrong = _wrong_ids(keys, settings, ids, config)
    wrong += bool(keys.get("tokenizer.ggml.add_bos_token")) != bool(settings.get("add_bos_token", False))
    return Observation(
        tokens_wrong=_wrong(tokens, wanted),
        types_wrong=_wrong(types, kinds),
        merges_wrong=_wrong(keys.get("tokenizer.ggml.merges") or [], merges),
        pre_tokenizer_wrong=int(keys.get("tokenizer.ggml.pre") != "qwen2"),
        special_wrong=wrong,
        template_lost=int(keys.get("tokenizer.chat_template") != settings.get("chat_template")),
    )


def ids_of_text(subject: Any, case: Case, *, weights: str) -> Observation:
    """llama.cpp's ids of adversarial text, with special tokens in it as their ids, and the text decoded from ids."""
    wanted = [[int(i) for i in ids] for ids in corpora.encode(tokenizer_of(str(weights)), TEXTS)]
    vocabulary, added = spellings(str(weights))
    bytes_of_text = _torn(case, vocabulary)
    with exported(subject, case, "trained", "Q8_0", weights) as (path, _, _, _):
        answer = ask(path, Request(texts=TEXTS, lists=[*wanted, *bytes_of_text]))
    if not answer.ok:
        return Observation(ids_differ=len(TEXTS), texts_differ=len(TEXTS))
    texts = [byte_level_decode(ids, vocabulary, added) for ids in (*wanted, *bytes_of_text)]
    return Observation(
        ids_differ=sum(list(got) != want for got, want in zip(answer.ids, wanted, strict=True)),
        texts_differ=sum(got != want for got, want in zip(answer.pieces, texts, strict=True)),
    )


def _torn(case: Case, vocabulary: dict[int, str]) -> list[list[int]]:
    """Ids whose bytes are not UTF-8: parts of characters, and bytes that start no character. Shapes: 24 lists of 6."""
    alone = sorted(i for i, token in vocabulary.items() if len(token) == 1 and ord(token) > 126)
    drawn = case.integers("torn", (24, 6), 0, len(alone))
    return [[alone[int(i)] for i in row] for row in drawn]


def ids_of_crafted(subject: Any, case: Case) -> Observation:
    """llama.cpp's ids of text that only the right split pattern, merge order and token types tokenize correctly.

    They are compared with the ids of the tokenizers library with the same merges, some of which cross digits, or a
    mark and a line end.
    """
    texts = crafted_tokenizer.TEXTS
    with exported(subject, case, "crafted", "F32", None) as (path, _, _, _):
        answer = ask(path, Request(texts=texts))
    with TemporaryDirectory() as place:
        crafted_tokenizer.write(place)
        wanted = corpora.fresh(str(Path(place) / "tokenizer.json"), texts)
    got = answer.ids if answer.ok else [()] * len(texts)
    return Observation(ids_differ=sum(list(a) != b for a, b in zip(got, wanted, strict=True)))


def special_ids(subject: Any, case: Case) -> Observation:
    """Ids of begin, end and padding in an exported file whose tokens have ids that are nobody's default."""
    with TemporaryDirectory() as place:
        crafted_tokenizer.write(place)
        settings = json.loads((Path(place) / "tokenizer_config.json").read_text(encoding="utf-8"))
        added = {token["content"]: token["id"] for token in tokenizer_json(Path(place))["added_tokens"]}
    with exported(subject, case, "crafted", "F32", None) as (path, config, _, _):
        keys, _ = checkpoints.read_gguf(path)
    return Observation(special_wrong=_wrong_ids(keys, settings, added, config))


def _wrong_ids(keys: dict[str, Any], settings: dict[str, Any], ids: dict[str, int], config: dict[str, Any]) -> int:
    """Ids of special tokens in a file's keys that are missing or differ from the folder's.

    A role that tokenizer_config.json does not name has config.json's id, or none.
    """
    wrong = 0
    for role, name in {"bos": "bos", "eos": "eos", "padding": "pad", "unknown": "unk"}.items():
        found, token = keys.get(f"tokenizer.ggml.{role}_token_id"), settings.get(f"{name}_token")
        allowed = [ids[token]] if token else [None, config.get(f"{name}_token_id")]
        wrong += found not in allowed
    return wrong


def _wrong(found: list[Any], wanted: list[Any]) -> int:
    return sum(a != b for a, b in zip(found, wanted, strict=False)) + abs(len(found) - len(wanted))
