"""The families of decoders that the reference declares: model_type -> what to compute, and where the file keeps it."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from harness.reference.model.families.layout import Family
from harness.reference.model.tensors import Stored

FAMILIES: dict[str, Family] = {
    name: value
    for module in sorted(found.name for found in pkgutil.iter_modules(__path__, f"{__name__}."))
    for name, value in vars(import_module(module)).items()
    if getattr(value, "is_family", False) is True
}
"""model_type -> the function under `@family`, in any module of this folder, that reads such a config."""


def declare(config: Mapping[str, Any]) -> Stored:
    """The decoder of a Hugging Face config.

    Raises: ValueError naming the model_type, or the key, what was found and what was expected.
    """
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise ValueError(f"config: found model_type {kind!r}, expected one of {', '.join(sorted(FAMILIES))}")
    return FAMILIES[kind](config)
