"""A checkpoint folder as input: its config, and its weights in the case's dtype."""

from __future__ import annotations

from functools import lru_cache

from harness.checkpoint import read_config, read_weights
from harness.dtypes import round_to
from harness.errors import UserError
from harness.falsifiers.inputs.synthetic_model import Config, Weights
from harness.reference.model import hybrid_config
from harness.reference.model.decoder_config import MODEL_TYPES, check_weights, parse_config


class OtherArchitecture(Exception):
    """The reference has the checkpoint's architecture, but this claim does not cover it: UNVERIFIED."""

    unsupported = True


@lru_cache(maxsize=4)
def read_checkpoint(folder: str, dtype: str, *, hybrid: bool = False) -> tuple[Config, Weights]:
    """The folder's config and its weights rounded to dtype; not stored in the case, whose arrays become evidence.

    Units:  hybrid also accepts Qwen3 and Qwen3.5 text models.
    Raises: OtherArchitecture for one of these without hybrid; UserError for another architecture or wrong tensors.
    """
    config, weights = read_config(folder), read_weights(folder)
    other = config.get("model_type") in hybrid_config.MODEL_TYPES
    if other and not hybrid:
        raise OtherArchitecture(
            f"the checkpoint is a {config['model_type']}; this claim covers {', '.join(MODEL_TYPES)}"
        )
    try:
        if other:
            hybrid_config.check_weights(config, weights)
        else:
            check_weights(parse_config(config), weights)
    except ValueError as problem:
        known = (*MODEL_TYPES, *hybrid_config.MODEL_TYPES) if hybrid else MODEL_TYPES
        raise UserError(f"{folder}: {problem}; give a checkpoint folder of {', '.join(known)}") from None
    rounded = {name: round_to(tensor, dtype) for name, tensor in weights.items()}
    for tensor in rounded.values():
        tensor.setflags(write=False)
    return config, rounded
