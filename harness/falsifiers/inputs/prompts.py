"""Prompts: short functions that the model has memorised, in two forms, and the beginnings of held-out files."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from harness.falsifiers.baselines import corpora
from harness.falsifiers.inputs.documents import tokenizer_of
from harness.falsifiers.inputs.text_windows import held_out_windows


class NoTokenizer(Exception):
    """The checkpoint folder has no tokenizer, so claims about its text are UNVERIFIED."""

    unsupported = True


def prompt_ids(folder: str, functions: str, corpus: str, form: str, count: int, length: int = 24) -> list[np.ndarray]:
    """`count` prompts as token ids, evenly spaced. Units: length is the number of tokens of a held-out prompt.

    Shapes: ids (T,), int64; special tokens of a chat prompt have their own ids.
    """
    if form == "held_out":
        windows, _ = held_out_windows(folder, corpus, 1, length)
        return [windows[i] for i in np.linspace(0, len(windows) - 1, count).astype(int)]
    ids = corpora.encode(tokenizer_of(folder), tuple(prompt_texts(functions, form, count)))
    return [np.asarray(found, np.int64) for found in ids]


def prompt_texts(functions: str, form: str, count: int) -> list[str]:
    """Prompts for memorised functions as text. Units: functions names a module like harness.models.functions."""
    module = import_module(functions)
    ask = module.direct_prompt if form == "direct" else module.chat_prompt
    chosen = np.unique(np.linspace(0, len(module.FUNCTIONS) - 1, count).astype(int))
    return [ask(module.FUNCTIONS[i]) for i in chosen]


def end_ids(folder: str) -> list[int]:
    """The end-token ids: eos_token_id of generation_config.json."""
    found = json.loads((Path(folder) / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"]
    return list(found) if isinstance(found, list) else [found]


def spellings(folder: str) -> tuple[dict[int, str], dict[int, str]]:
    """({id: token in byte-level letters}, {id: text of an added token}) of tokenizer.json.

    Raises: NoTokenizer (UNVERIFIED) if the folder has none.
    """
    words = tokenizer_json(folder)
    vocabulary = {i: token for token, i in words["model"]["vocab"].items()}
    return vocabulary, {item["id"]: item["content"] for item in words["added_tokens"]}


def tokenizer_json(folder: str | Path) -> dict[str, Any]:
    """The folder's tokenizer.json as data. Raises: NoTokenizer (UNVERIFIED) if there is none."""
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise NoTokenizer(f"found no {path.name} in the checkpoint folder; save its tokenizer there")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
