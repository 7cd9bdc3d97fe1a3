"""One family of models: its names, small configs that show every option, and what no input can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Config = dict[str, Any]


@dataclass(frozen=True)
class Family:
    """The configs of one `model_type` of transformers."""

    architecture: str
    """The class that `config.json` names."""
    variants: Mapping[str, Config]
    """Name -> the keys given to transformers' config class; the first is what `examples/hf_checkpoint.py` writes."""
    inert: Mapping[str, str] = field(default_factory=dict)
    """Key (`rope_parameters.factor`), or `variant:key` -> why changing it moves no logit."""
    disk: str = ""
    """How names and layouts in the files differ from the module's `state_dict`; empty if they do not."""


SIZES: Config = {
    "vocab_size": 83,
    "hidden_size": 48,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
}
"""Sizes that no two dimensions share, where the family leaves the choice; 3 query heads per key head."""
TOKEN_IDS: Config = {"pad_token_id": None, "bos_token_id": 1, "eos_token_id": 2}
"""Given to every config: the defaults lie outside of so small a vocabulary."""

CONTEXT = "read by dynamic RoPE, and by the others only where their original length is not given"
EXPERTS_UNFUSED = "experts lie one by one in the files, as `experts.<e>.{gate,up,down}_proj.weight`"


def sized(base: Config, **own: Config) -> dict[str, Config]:
    """Variants by name, each over `SIZES` and what the family's variants share."""
    return {name: {**SIZES, **base, **keys} for name, keys in own.items()}


def layers(kinds: str) -> list[str]:
    """`layer_types` of one letter each: s(liding), f(ull), l(inear)."""
    names = {"s": "sliding_attention", "f": "full_attention", "l": "linear_attention"}
    return [names[kind] for kind in kinds]
