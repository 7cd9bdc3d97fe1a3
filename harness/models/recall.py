"""Check which of the short functions a built model reproduces by greedy decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.models.functions import FUNCTIONS, Function, chat_prompt, direct_prompt, expected

SPARE = 8
"""New tokens allowed beyond the longest expected answer, so that an answer that does not stop is noticed."""


def forgotten(folder: Path) -> dict[str, list[str]]:
    """Names of the functions that the model does not reproduce exactly, by prompt form.

    The answer must stop with an end token. transformers loads the folder as a user would
    and runs generate(do_sample=False) on all prompts of a form in one left-padded batch.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(folder)
    finally:
        if bars:
            logging.enable_progress_bar()
    direct = {f: (direct_prompt(f), expected(f).removeprefix(direct_prompt(f))) for f in FUNCTIONS}
    chat = {f: (chat_prompt(f), expected(f)) for f in FUNCTIONS}
    return {"direct": _wrong(model, tokenizer, direct), "chat": _wrong(model, tokenizer, chat)}


def _wrong(model: Any, tokenizer: Any, pairs: dict[Function, tuple[str, str]]) -> list[str]:
    """Names of the functions whose (prompt, answer) pair the model gets wrong."""
    prompts = [prompt for prompt, _ in pairs.values()]
    answers = [answer for _, answer in pairs.values()]
    batch = tokenizer(prompts, return_tensors="pt", padding=True)
    longest = max(map(len, tokenizer(answers)["input_ids"])) + 1
    out = model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        do_sample=False,
        max_new_tokens=longest + SPARE,
    )[:, batch["input_ids"].shape[1] :]
    ends = set(model.generation_config.eos_token_id)
    wrong = []
    for function, ids, answer in zip(pairs, out.tolist(), answers, strict=True):
        stop = next((i for i, token in enumerate(ids) if token in ends), None)
        if stop is None or tokenizer.decode(ids[:stop]) != answer:
            wrong.append(function.name)
    return wrong
