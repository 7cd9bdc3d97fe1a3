"""transformers in float64 throughout: the ground truth for every family.

By itself it computes norms, rotary tables, softmax, routers, the delta rule and the Mamba 2 scan in float32, whatever
the model's dtype. Here torch reads float64 wherever transformers' code says float32, while the model is loaded (rotary
frequencies, the embedding's scale, multipliers kept in buffers) and in every forward pass. So the constants that
transformers rounds to float32 are computed anew: frequencies of all kinds, the ramp of yarn, the factors of longrope,
the base of dynamic RoPE, sqrt(hidden_size) of Gemma.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.falsifiers.baselines.transformers.any_decoder import REPORTED, widened


def load(folder: Path | str) -> Any:
    """The folder's model with every parameter and buffer in float64.

    Raises: ValueError if a tensor is missing, left over or of another shape; transformers would go on.
    """
    from transformers import AutoModelForCausalLM

    with widened():
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float64,
            attn_implementation="eager",
            experts_implementation="eager",
            local_files_only=True,
            output_loading_info=True,
        )
    found = {kind: sorted(map(str, info[kind])) for kind in REPORTED if info.get(kind)}
    if found:
        raise ValueError(f"{folder}: {found}, expected the model's own tensors")
    return model.double().eval()


def of_config(family: str, keys: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> Any:
    """The model of a config with given tensors, by the names of its `state_dict`; much faster than `load`.

    A tied model takes its head from the embedding; `load`, as transformers, takes a head that the file holds besides.

    Raises: ValueError, or what torch and transformers raise, if the tensors are not exactly those of this config.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    with widened(), no_init_weights():
        model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(family, **copy.deepcopy(dict(keys))),
            dtype=torch.float64,
            attn_implementation="eager",
            experts_implementation="eager",
        )
        found = model.load_state_dict(state, strict=False, assign=True)
        model.tie_weights()
    missing = sorted(set(found.missing_keys) - set(model.all_tied_weights_keys))
    if missing or found.unexpected_keys:
        raise ValueError(f"{family}: missing {missing}, left over {found.unexpected_keys}")
    return model.eval()


def untied(model: Any) -> dict[str, torch.Tensor]:
    """A model's tensors, each once: what `of_config` takes."""
    return {name: tensor for name, tensor in model.state_dict().items() if name not in model.all_tied_weights_keys}


@torch.no_grad()
def forward(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Shapes: tokens (B, T) -> logits (B, T, V), float64, without a cache."""
    with widened():
        return model(input_ids=tokens, use_cache=False).logits


def logits(folder: Path | str, tokens: np.ndarray) -> np.ndarray:
    """Shapes: tokens (B, T) -> (B, T, V), float64.

    The model is loaded anew at every call: dynamic RoPE keeps the base of the longest text that it has met.
    """
    return forward(load(folder), torch.as_tensor(np.asarray(tokens, dtype=np.int64))).numpy()
