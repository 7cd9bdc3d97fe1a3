"""A checkpoint folder as a candidate, which transformers loads from local files only."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM
from transformers import __version__ as version
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as KNOWN

from harness.candidates.huggingface.decoder import Decoder
from harness.candidates.huggingface.float64 import in_float64
from harness.errors import UserError

REPORTED = ("missing_keys", "unexpected_keys", "mismatched_keys")
"""What transformers only warns about."""


class OwnWeights(Exception):
    """The claim is about another model than the folder's, so the claim is UNVERIFIED."""

    unsupported = True


def open(folder: str) -> Folder:
    """The candidate for a folder; `load` reads the weights.

    Raises: UserError if it is not a checkpoint folder, or transformers has no causal language model of its type.
    """
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise UserError(f"--candidate hf:{folder}: {path} cannot be read as JSON ({problem})") from None
    if not isinstance(config, dict):
        raise UserError(f"--candidate hf:{folder}: {path} holds {type(config).__name__}, expected a JSON object")
    kind, named = config.get("model_type"), config.get("architectures")
    if kind not in KNOWN:
        near = ", ".join(get_close_matches(str(kind), KNOWN, 3)) or "none"
        raise UserError(
            f"--candidate hf:{folder}: found model_type {kind!r}, expected one of the {len(KNOWN)} causal language "
            f"models of transformers {version}; the nearest: {near}"
        )
    classes = KNOWN[kind] if isinstance(KNOWN[kind], tuple) else (KNOWN[kind],)
    if named and named[0] not in classes:
        raise UserError(
            f"--candidate hf:{folder}: found {named[0]} ({kind}), expected {' or '.join(classes)} for this model_type"
        )
    return Folder(folder, config)


class Folder:
    """A language model with weights of its own; it has no ops."""

    ARRAYS = "torch"

    def __init__(self, folder: str, config: dict[str, Any]) -> None:
        self.folder = folder
        self.config = config

    def load(self, config: Mapping[str, Any], weights: Mapping[str, Any], *, dtype: str, device: str) -> Decoder:
        """The folder's model in `dtype` on `device`; under `config` if `weights` are the folder's own.

        Raises: OwnWeights (UNVERIFIED) if neither config nor weights are the folder's; ValueError if transformers
                refuses a changed config, or the folder has other tensors than the model.
        """
        differing = [key for key in config if config[key] != self.config.get(key)]
        differing = differing or sorted(set(self.config) - set(config))
        if differing and (config.get("model_type") != self.config["model_type"] or not _own(self.folder, weights)):
            raise OwnWeights(
                f"found the folder's own weights, expected the claim's model ({', '.join(differing[:3])} differ)"
            )
        wide = dtype == "float64"
        with in_float64(wide):
            changed = _read(config) if differing else None
            model, info = AutoModelForCausalLM.from_pretrained(
                self.folder,
                config=changed,
                dtype=getattr(torch, dtype),
                attn_implementation="eager",
                experts_implementation="eager",
                local_files_only=True,
                output_loading_info=True,
            )
        _refuse_guesses(self.folder, info)
        model = model.double() if wide else model
        return Decoder(model.to(device).eval())


def _read(config: Mapping[str, Any]) -> Any:
    """The config as transformers reads it from a file, old names of keys and infinite numbers included."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(dict(config)), encoding="utf-8")
        try:
            return AutoConfig.from_pretrained(folder, local_files_only=True)
        except Exception as problem:  # noqa: BLE001  (each family checks its keys with exceptions of its own)
            line = " ".join(str(problem).split())
            raise ValueError(f"transformers refuses the changed config: {line}") from None


def _own(folder: str, weights: Mapping[str, Any]) -> bool:
    """Whether weights are the folder's: the same names and shapes, and the same numbers in each tensor's first row."""
    index = Path(folder) / "model.safetensors.index.json"
    files = {"model.safetensors"}
    if index.is_file():
        files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    names = set[str]()
    for file in sorted(files):
        with safe_open(Path(folder) / file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                stored = tensors.get_slice(name)
                if name not in weights or list(weights[name].shape) != stored.get_shape():
                    return False
                given = torch.as_tensor(weights[name]).cpu()
                first = stored[:1].to(given.dtype) if given.ndim else tensors.get_tensor(name).to(given.dtype)
                if not torch.equal(first, given[:1] if given.ndim else given):
                    return False
                names.add(name)
    return names == set(weights)


def _refuse_guesses(folder: str, info: Mapping[str, Any]) -> None:
    """Raises: ValueError for missing or extra tensors; transformers only warns, and fills gaps with random numbers."""
    for kind in REPORTED:
        if info.get(kind):
            raise ValueError(f"{folder}: {kind} {sorted(map(str, info[kind]))[:3]}, expected the model's own tensors")
