"""A model folder to be exported as GGUF, one for each test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from harness.case import Case
from harness.falsifiers.baselines import checkpoints
from harness.falsifiers.inputs.exported import build
from harness.models.tokenizer import PATTERN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny Qwen2 with a tokenizer of 90 tokens for 96 rows."""
    config, weights = build(Case(dtype="float32", seed=1), "qwen2")
    where = tmp_path / "checkpoint"
    checkpoints.write_folder(where, config | {"vocab_size": 320}, _longer(weights, 320))
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(__import__("tokenizers").Regex(PATTERN), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["def f(x): return x + 1\n" * 9, "for i in range(10): print(i)\n" * 9], trainer)
    tokenizer.add_special_tokens(["<|im_end|>"])
    tokenizer.save(str(where / "tokenizer.json"))
    (where / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}))
    (where / "LICENSE").write_text("MIT License\n")
    return where


def _longer(weights: dict[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """The weights with as many rows of the vocabulary."""
    ends = ("embed_tokens.weight", "lm_head.weight")
    return {n: np.resize(w, (rows, w.shape[1])) if n.endswith(ends) else w for n, w in weights.items()}
