"""A checkpoint folder as input: its config, and its weights in the case's dtype."""

from __future__ import annotations

from functools import lru_cache

from harness.checkpoint import read_config, read_weights
from harness.dtypes import round_to
from harness.errors import UserError
from harness.falsifiers.inputs.synthetic_model import Config, Weights
from harness.reference.model.decoder_config import MODEL_TYPES
from harness.reference.model.families import FAMILIES, declare


class OtherArchitecture(Exception):
    """The reference has the checkpoint's architecture, but this claim does not cover it: UNVERIFIED."""

    unsupported = True


def undeclared(config: Config) -> str:
    """Why the reference has no declaration of a config, by key and value; '' if it has one."""
    try:
        declare(config)
    except ValueError as problem:
        return str(problem)
    return ""


@lru_cache(maxsize=4)
def read_checkpoint(folder: str, dtype: str, *, any_family: bool = False) -> tuple[Config, Weights]:
    """The folder's config and its weights rounded to dtype; not stored in the case, whose arrays become evidence.

    Units:  any_family also accepts decoders whose gradients the reference does not have, and those that it does not
            declare, as `undeclared` says.
    Raises: OtherArchitecture for one of these without any_family; UserError for another architecture or wrong tensors.
    """
    config, weights = read_config(folder), read_weights(folder)
    kind = config.get("model_type")
    if kind in FAMILIES and kind not in MODEL_TYPES and not any_family:
        raise OtherArchitecture(f"the checkpoint is a {kind}; this claim covers {', '.join(MODEL_TYPES)}")
    try:
        if not (any_family and undeclared(config)):
            declare(config).check(weights)
    except ValueError as problem:
        known = sorted(FAMILIES) if any_family else MODEL_TYPES
        raise UserError(f"{folder}: {problem}; give a checkpoint folder of {', '.join(known)}") from None
    rounded = {name: round_to(tensor, dtype) for name, tensor in weights.items()}
    for tensor in rounded.values():
        tensor.setflags(write=False)
    return config, rounded
