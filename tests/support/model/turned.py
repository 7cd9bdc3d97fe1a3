"""Other values for the keys of a config: every option of a family, turned one at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from harness.models.families import FAMILIES
from harness.models.families.family import Config
from harness.models.families.folder import config_of

OTHER = {
    "silu": "gelu",
    "gelu": "silu",
    "gelu_pytorch_tanh": "silu",
    "relu2": "silu",
    "rope": None,
    "full_attention": "sliding_attention",
    "sliding_attention": "full_attention",
    "linear_attention": "full_attention",
    "moe": "mlp",
    "mlp": "moe",
}
"""Names that a config holds -> another that is as valid."""
KINDS = {"default": "linear", "linear": "default", "proportional": "default"}
"""rope_type -> another one, which the rest of the parameters suffice for; else `default`."""
FACTORS = {"beta_fast": 0.25, "beta_slow": 4, "original_max_position_embeddings": 4, "partial_rotary_factor": 0.5}
"""What transformers rounds to a whole number has to be turned further than other numbers."""
STEPS = {"head_dim": 2, "global_head_dim": 2, "qk_rope_head_dim": 2, "n_group": -2}
"""Numbers that have to stay even, or to divide another; all others are turned by 1."""
NONE = {
    "head_dim": 10,
    "sliding_window": 6,
    "attn_logit_softcapping": 3.0,
    "final_logit_softcapping": 3.0,
    "position_embedding_type": "rope",
    "q_lora_rank": 8,
    "mamba_d_ssm": 48,
}
"""Key -> another value where the config holds None."""


def flat(keys: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """(`rope_parameters.rope_theta`, value) for every leaf; lists are leaves."""
    for key, value in keys.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def options(family: str) -> Iterator[tuple[str, str, Any]]:
    """(variant, key, value), each pair of key and value once: in the first variant that has it."""
    met: list[tuple[str, Any]] = []
    for variant, keys in FAMILIES[family].variants.items():
        for key, value in flat(keys):
            if (key, value) not in met:
                met.append((key, value))
                yield variant, key, value


def turned(family: str, variant: str, path: str) -> Config:
    """The variant's config with the value at `path` replaced by another."""
    keys = copy.deepcopy(config_of(family, variant))
    *above, last = path.split(".")
    place = keys
    for key in above:
        place = place[key]
    place[last] = _other(last, place[last])
    if last == "rope_type" and place[last] == "linear":
        place["factor"] = 2.5
    return keys


def _other(key: str, value: Any) -> Any:
    if value is None:
        return NONE[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [_item(key, each) for each in value]
    if isinstance(value, str):
        return KINDS.get(value, "default") if key == "rope_type" else OTHER[value]
    if key in FACTORS:
        return type(value)(value * FACTORS[key])
    if isinstance(value, float):
        return value * (10 if "eps" in key else 1.25)
    return value + STEPS.get(key, 1)


def _item(key: str, value: Any) -> Any:
    if key == "no_rope_layers":
        return 1 - value
    # Nemotron H knows no windows.
    return "mlp" if (key, value) == ("layers_block_type", "full_attention") else _other(key, value)
