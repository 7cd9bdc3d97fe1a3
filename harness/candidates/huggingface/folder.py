"""A checkpoint folder as a candidate, which transformers loads from local files only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from harness.candidates.huggingface.decoder import Decoder
from harness.candidates.huggingface.float64 import in_float64
from harness.errors import UserError

ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "Qwen3_5ForCausalLM": "qwen3_5_text",
}
"""Architectures that the reference implements -> their model_type."""


class OwnWeights(Exception):
    """The claim is about another model than the folder's, so the claim is UNVERIFIED."""

    unsupported = True


def open(folder: str) -> Folder:
    """The candidate for a folder; `load` reads the weights.

    Raises: UserError if it is not a checkpoint folder, or the reference does not implement its architecture.
    """
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise UserError(f"--candidate hf:{folder}: {path} cannot be read as JSON ({problem})") from None
    found = config.get("architectures") or [f"model_type {config.get('model_type')}"]
    if found[0] not in ARCHITECTURES or ARCHITECTURES[found[0]] != config.get("model_type"):
        known = ", ".join(f"{name} ({kind})" for name, kind in ARCHITECTURES.items())
        raise UserError(
            f"--candidate hf:{folder}: found {found[0]} ({config.get('model_type')}); the reference has {known}"
        )
    return Folder(folder, config)


class Folder:
    """A language model with weights of its own; it has no ops."""

    ARRAYS = "torch"

    def __init__(self, folder: str, config: dict[str, Any]) -> None:
        self.folder = folder
        self.config = config

    def load(self, config: Mapping[str, Any], weights: Mapping[str, Any], *, dtype: str, device: str) -> Decoder:
        """The folder's model in `dtype` on `device`. Ignores `weights`, which the falsifier passes to the reference.

        Units:  float64 cases test the logic, so transformers' internal float32 casts are widened in them.
        Raises: OwnWeights (UNVERIFIED) if config is not the folder's.
        """
        shared = [key for key in config if config[key] != self.config.get(key)]
        differing = shared or sorted(set(self.config) - set(config))
        if differing:
            raise OwnWeights(
                f"found the folder's own weights, expected the claim's model ({', '.join(differing[:3])} differ)"
            )
        model, info = AutoModelForCausalLM.from_pretrained(
            self.folder,
            dtype=getattr(torch, dtype),
            attn_implementation="eager",
            local_files_only=True,
            output_loading_info=True,
        )
        _refuse_guesses(self.folder, info)
        model.to(device).eval()
        if dtype == "float64":
            in_float64(model)
        return Decoder(model)


def _refuse_guesses(folder: str, info: Mapping[str, Any]) -> None:
    """Raises: ValueError for missing or extra tensors; transformers only warns, and fills gaps with random numbers."""
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(kind):
            raise ValueError(f"{folder}: {kind} {sorted(map(str, info[kind]))[:3]}, expected the model's own tensors")
