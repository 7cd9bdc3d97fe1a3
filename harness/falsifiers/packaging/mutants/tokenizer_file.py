"""Known-wrong embedded tokenizers: merges, types, ids, templates, and a BOS nobody asked for (system E2)."""

from __future__ import annotations

from typing import Any

from harness.falsifiers.baselines.gguf.rewrite import Keys, Tensors
from harness.falsifiers.packaging.mutants.gguf_edit import edited_file
from harness.mutant import mutant

TOKENS, TYPES, MERGES = (f"tokenizer.ggml.{name}" for name in ("tokens", "token_type", "merges"))


@mutant
def merges_cut(baseline: Any) -> Any:
    """The second half of the merges is lost: text is cut finer than in training (system E2)."""
    return edited_file(baseline, lambda keys, tensors: keys.update({MERGES: keys[MERGES][: len(keys[MERGES]) // 2]}))


@mutant
def merges_out_of_order(baseline: Any) -> Any:
    """Merges are written in another order, and order is their rank (system E2)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        half = len(keys[MERGES]) // 2
        keys[MERGES] = keys[MERGES][half:] + keys[MERGES][:half]

    return edited_file(baseline, edit)


@mutant
def end_and_padding_swapped(baseline: Any) -> Any:
    """eos and padding stand in each other's place: generation does not end (system E2)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        end, padding = "tokenizer.ggml.eos_token_id", "tokenizer.ggml.padding_token_id"
        keys[end], keys[padding] = keys[padding], keys[end]

    return edited_file(baseline, edit)


@mutant
def begin_is_5(baseline: Any) -> Any:
    """bos_token_id is 5, whatever the tokenizer says: another model's id (ggml-org/llama.cpp#3635 met an id that no
    token has)."""
    return edited_file(baseline, lambda keys, tensors: keys.update({"tokenizer.ggml.bos_token_id": 5}))


@mutant
def begin_left_out(baseline: Any) -> Any:
    """The folder's BOS is not written, and llama.cpp takes its own default, 11 (system E2)."""
    return edited_file(baseline, lambda keys, tensors: keys.pop("tokenizer.ggml.bos_token_id") and None)


@mutant
def double_bos(baseline: Any) -> Any:
    """add_bos_token is set for a model that was trained without one (system E2)."""
    return edited_file(baseline, lambda keys, tensors: keys.update({"tokenizer.ggml.add_bos_token": True}))


@mutant
def special_tokens_normal(baseline: Any) -> Any:
    """Token types are all normal: <|im_start|> is split into characters, without a word (system E3)."""
    return edited_file(baseline, lambda keys, tensors: keys.update({TYPES: [1 if t == 3 else t for t in keys[TYPES]]}))


@mutant
def filled_up_as_normal(baseline: Any) -> Any:
    """Filled-up tokens are normal ones, and may be generated (system E3)."""
    return edited_file(baseline, lambda keys, tensors: keys.update({TYPES: [1 if t == 5 else t for t in keys[TYPES]]}))


@mutant
def tokens_shifted(baseline: Any) -> Any:
    """A token inserted at the front shifts all others by one (system E2)."""
    return edited_file(baseline, lambda keys, tensors: keys.update({TOKENS: ["<unk>", *keys[TOKENS][:-1]]}))


@mutant
def template_left_out(baseline: Any) -> Any:
    """The chat template stays behind in tokenizer_config.json (system E2)."""
    return edited_file(baseline, lambda keys, tensors: keys.pop("tokenizer.chat_template") and None)


@mutant
def pre_tokenizer_of_gpt2(baseline: Any) -> Any:
    """Text is cut as GPT-2 cuts it: other ids for numbers and blanks alone (system E3: a warning, no refusal)."""
    return edited_file(baseline, lambda keys, tensors: keys.update({"tokenizer.ggml.pre": "gpt-2"}))


@mutant
def pre_tokenizer_missing(baseline: Any) -> Any:
    """tokenizer.ggml.pre is not written: a warning, and other ids where merges were crafted for it (system E3)."""
    return edited_file(baseline, lambda keys, tensors: keys.pop("tokenizer.ggml.pre") and None)


@mutant
def token_types_missing(baseline: Any) -> Any:
    """Token types are not written: <|im_start|> is split into characters, without a word (system E3)."""
    return edited_file(baseline, lambda keys, tensors: keys.pop(TYPES) and None)


@mutant
def added_tokens_normal(baseline: Any) -> Any:
    """Added tokens that are not special are normal ones, and text is never cut at them (system E2)."""
    return edited_file(baseline, lambda keys, tensors: keys.update({TYPES: [1 if t == 4 else t for t in keys[TYPES]]}))
