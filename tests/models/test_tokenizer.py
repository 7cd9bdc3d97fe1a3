"""The small model's tokenizer: Qwen2's pattern, a round trip of hostile text, special tokens, the chat template."""

from __future__ import annotations

import json
import unicodedata
from functools import partial
from pathlib import Path

import pytest

from harness.models import tokenizer
from harness.models.functions import FUNCTIONS, chat_prompt, direct_prompt, sequences
from harness.models.recipe import Recipe

ADVERSARIAL = [
    "",
    " ",
    "   leading spaces\n\n\n\ttabs  and trailing  ",
    "naïve café, e\u0301 decomposed, \u212b \ufb01",
    "日本語の文字列と中文，한국어",
    "👩‍👩‍👧‍👦 🏳️‍🌈 \U0001f9ec",
    "\x00\x01\x7f\u200b\ufeff\u2028\r\n\r",
    "I'M you'Ll we've 12345 3.14e-10 x_y__z",
    "".join(map(chr, range(256))),
    "\U0010ffff\ud7ff\ue000",
]


def test_the_pattern_is_qwen2s(words):
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    assert tokenizer.PATTERN == PRETOKENIZE_REGEX
    state = json.loads(words.backend_tokenizer.to_str())
    split, byte_level = state["pre_tokenizer"]["pretokenizers"]
    assert split["pattern"] == {"Regex": PRETOKENIZE_REGEX}
    assert (split["behavior"], split["invert"]) == ("Isolated", False)
    assert (byte_level["type"], byte_level["use_regex"], byte_level["add_prefix_space"]) == ("ByteLevel", False, False)
    assert state["normalizer"] == {"type": "NFC"}


@pytest.mark.parametrize("text", ADVERSARIAL, ids=range(len(ADVERSARIAL)))
def test_text_survives_a_round_trip(folder: Path, words, text: str):
    from tokenizers import Tokenizer

    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert words.encode(text) == plain.encode(text).ids
    for decode in (words.decode, partial(plain.decode, skip_special_tokens=False)):
        assert decode(words.encode(text)) == unicodedata.normalize("NFC", text)


def test_special_tokens_are_single_ids_at_the_end(words):
    ids = [words.convert_tokens_to_ids(token) for token in tokenizer.SPECIAL]
    assert ids == [len(words) - 3, len(words) - 2, len(words) - 1]
    assert [words.encode(token) for token in tokenizer.SPECIAL] == [[i] for i in ids]
    assert words.encode("a<|im_end|>b")[1] == ids[2]
    assert (words.eos_token, words.pad_token, words.bos_token) == ("<|im_end|>", "<|endoftext|>", None)


def test_the_chat_template_is_the_chat_prompt(words):
    for function in FUNCTIONS:
        request = chat_prompt(function).split("user\n")[1].split("<|im_end|>")[0]
        turns = [{"role": "user", "content": request}]
        assert words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) == chat_prompt(function)


def test_a_prompts_tokens_are_the_beginning_of_the_whole(words):
    for function in FUNCTIONS:
        for prompt, whole in zip((direct_prompt(function), chat_prompt(function)), sequences(function), strict=True):
            head, ids = words.encode(prompt), words.encode(whole)
            assert ids[: len(head)] == head
            assert len(ids) <= Recipe().window
