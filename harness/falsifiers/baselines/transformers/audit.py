"""Audit a checkpoint folder: build transformers' model from its config and compare it with the folder's tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM

ARRAYS = "torch"
WHOLE = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size"),
    *("vocab_size", "max_position_embeddings"),
)


def audit_checkpoint(folder: str) -> list[str]:
    """One line for each file, key or tensor that does not fit transformers' model."""
    place = Path(folder)
    problems = [f"{n}: missing" for n in ("tokenizer.json", "tokenizer_config.json") if not (place / n).is_file()]
    problems += [
        f"{what}: missing" for what, n in (("licence", "LICENSE"), ("provenance", "recipe.json")) if _empty(place / n)
    ]
    config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    rope = {**config, **(config.get("rope_parameters") or {})}
    bad = [key for key in WHOLE if type(config.get(key)) is not int or config[key] < 1]
    bad += [k for k in ("rope_theta", "rms_norm_eps") if not isinstance(rope.get(k), (int, float)) or not rope[k] > 0]
    problems += [f"{key} is {rope.get(key)!r}" for key in bad]
    try:
        with safe_open(place / "model.safetensors", framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as problem:
        return [*problems, f"model.safetensors: {problem}"]
    return problems if bad else problems + _compared(config, shapes)


def _compared(config: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> list[str]:
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    except (ValueError, RuntimeError, StrictDataclassError) as problem:
        return [f"{_keys(config)}: {str(problem).splitlines()[0]}"]
    wanted = {name: tuple(p.shape) for name, p in model.named_parameters()}
    differ = [n for n in {**wanted, **shapes} if wanted.get(n) != shapes.get(n)]
    return [f"{name}: the tensors say {shapes.get(name)}, {_keys(config)} {wanted.get(name)}" for name in differ]


def _keys(config: dict[str, Any]) -> str:
    """All config values that determine shapes, since a wrong shape does not show which value is wrong."""
    return ", ".join(f"{key} {config[key]}" for key in (*WHOLE, "tie_word_embeddings") if key in config)


def _empty(path: Path) -> bool:
    return not path.is_file() or not path.stat().st_size
