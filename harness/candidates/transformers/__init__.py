"""transformers on the config and the weights of each claim: `--candidate transformers`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from harness.candidates.huggingface import open
from harness.candidates.huggingface.decoder import Decoder

ARRAYS = "torch"


def load(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, dtype: str, device: str) -> Decoder:
    """The model as `hf:DIR` opens it, from a folder that is written with this config and these weights.

    Raises: UserError if transformers has no causal language model of this type; ValueError if it refuses the config,
            or if the weights are not the model's own tensors.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(dict(config)), encoding="utf-8")
        whole = {name: torch.as_tensor(tensor).cpu().contiguous() for name, tensor in weights.items()}
        save_file(whole, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        return open(folder).load(config, weights, dtype=dtype, device=device)
