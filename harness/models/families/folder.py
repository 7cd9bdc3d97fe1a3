"""Write one small random model in Hugging Face's format: config.json and safetensors."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.models.families import FAMILIES
from harness.models.families.family import TOKEN_IDS, Config


def config_of(family: str, variant: str = "") -> Config:
    """The keys of a config, the family's first variant if none is named.

    Raises: UserError naming what there is.
    """
    if family not in FAMILIES:
        raise UserError(f"found family {family!r}, expected one of {', '.join(FAMILIES)}")
    variants = FAMILIES[family].variants
    name = variant or next(iter(variants))
    if name not in variants:
        raise UserError(f"found variant {variant!r} of {family}, expected one of {', '.join(variants)}")
    return copy.deepcopy({**TOKEN_IDS, **variants[name]})


def model_of(family: str, keys: Config, seed: int = 0) -> Any:
    """transformers' model with sharp weights in float32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from harness.models.families.sharp import sharpen

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # what sharpen overwrites; the caller's random numbers stay as they were
        model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(family, **copy.deepcopy(keys)), dtype=torch.float32, attn_implementation="eager"
        )
    sharpen(model, seed)
    return model.eval()


def write(family: str, folder: Path | str, variant: str = "", *, seed: int = 0, shards: int = 1) -> None:
    """Save the model; with `shards` > 1 in about that many files and an index."""
    model = model_of(family, config_of(family, variant), seed)
    total = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    model.save_pretrained(folder, max_shard_size=total if shards == 1 else total // shards)
