"""Which of the short functions a built folder gives back by greedy decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.models.functions import FUNCTIONS, Function, chat_prompt, direct_prompt, expected

SPARE = 8
"""New tokens beyond the longest expected answer: room to show that it does not stop."""


def forgotten(folder: Path) -> dict[str, list[str]]:
    """Names of the functions that do not come back to the last character, by prompt form.

    The answer must end by itself, with an end token. Loaded from the folder as a user
    would load it, transformers' generate(do_sample=False), all prompts of a form in one
    left-padded batch.
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


def _wrong(model: Any, tokenizer: Any, asked: dict[Function, tuple[str, str]]) -> list[str]:
    prompts = [prompt for prompt, _ in asked.values()]
    answers = [answer for _, answer in asked.values()]
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
    for function, ids, answer in zip(asked, out.tolist(), answers, strict=True):
        stop = next((i for i, token in enumerate(ids) if token in ends), None)
        if stop is None or tokenizer.decode(ids[:stop]) != answer:
            wrong.append(function.name)
    return wrong
