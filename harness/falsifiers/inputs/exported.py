"""Inputs for falsifiers of exported files: write a model folder and let the subject export it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.baselines import checkpoints, crafted_tokenizer
from harness.falsifiers.inputs.checkpoint import read_checkpoint
from harness.falsifiers.inputs.hybrid_model import hybrid_config, hybrid_weights
from harness.falsifiers.inputs.synthetic_model import Config, Weights, case_weights, small_config

MODELS = ("trained", "crafted", "llama", "qwen2", "qwen2_tied", "qwen3", "hybrid", "hybrid_equal")
ROWS = 320
"""Embedding rows of the model with the crafted tokenizer."""
ROPE = {"rope_type": "default", "rope_theta": 50000.0}


@contextmanager
def exported(
    subject: Any, case: Case, model: str, kind: str, weights: str | None
) -> Iterator[tuple[Path, Config, Weights, str]]:
    """(file, config, float32 weights, type) of a model that the subject has exported as `kind`.

    Units: model is one of `MODELS`; the synthetic ones have no tokenizer, except `crafted`, which has the
           crafted tokenizer and more rows than tokens. kind `own` is the type of the file if the subject is a
           file, else F32.
    """
    with TemporaryDirectory() as place:
        path = Path(place) / "model.gguf"
        if kind == "own":
            kind = subject.own_kind() if subject.offers("own_kind") else "F32"
        if model == "trained":
            config, tensors = read_checkpoint(str(weights), "float32")
            subject.export_gguf(str(weights), str(path), kind)
            yield path, config, tensors, kind
        elif model == "crafted":
            folder = Path(place) / "folder"
            config, tensors = build(case, "qwen2", rows=ROWS)
            checkpoints.write_folder(folder, config, tensors)
            assert crafted_tokenizer.write(folder) < ROWS
            subject.export_gguf(str(folder), str(path), kind)
            yield path, config, tensors, kind
        else:
            config, tensors = build(case, model)
            checkpoints.write_folder(Path(place) / "folder", config, tensors)
            subject.export_gguf(str(Path(place) / "folder"), str(path), kind, tokenizer=False)
            yield path, config, tensors, kind


def build(case: Case, model: str, *, rows: int = 96) -> tuple[Config, Weights]:
    """A small model that llama.cpp can load: row lengths are multiples of 32, and Qwen2's biases are not zero."""
    sizes: dict[str, Any] = {"hidden": 64, "intermediate": 96, "heads": 4, "kv_heads": 2, "head_dim": 16}
    sizes["vocab"] = rows
    if model in ("llama", "qwen2", "qwen2_tied"):
        config = small_config(
            model_type=model.removesuffix("_tied"), tied=model.endswith("tied"), biases=False, **sizes
        )
        return config, case_weights(case, config)
    config = hybrid_config(
        layer_types="aa" if model == "qwen3" else "lala", value_heads=4 if model != "hybrid_equal" else 2
    )
    config |= {"hidden_size": 64, "intermediate_size": 96, "vocab_size": 96, "head_dim": 32}
    if model == "qwen3":
        config = {
            **{k: v for k, v in config.items() if k != "layer_types" and not k.startswith("linear_")},
            "model_type": "qwen3",
            "rope_parameters": ROPE,
        }
        return config, hybrid_weights(case, config)
    config |= {"linear_key_head_dim": 32, "linear_value_head_dim": 32}
    config["rope_parameters"] = {**ROPE, "partial_rotary_factor": 0.5, "mrope_section": [3, 3, 2]}
    drawn = hybrid_weights(case, config)
    # Scaled down: larger matrices would cost float32 itself two digits, which these claims do not test.
    return config, {n: case.array(f"mild {n}", w * np.float32(0.4 if w.ndim == 2 else 1)) for n, w in drawn.items()}


def tokens_of(case: Case, config: Config, count: int, length: int) -> np.ndarray:
    """Token ids (count, length) below the vocabulary size and below 1997, the trained model's ordinary tokens."""
    return case.integers("tokens", (count, length), 0, min(int(config["vocab_size"]), 1997))
