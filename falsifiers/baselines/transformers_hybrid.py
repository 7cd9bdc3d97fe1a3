"""transformers' Qwen3.5 text models, and a copy of their code that computes in float64 throughout."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

from transformers.models.qwen3_5 import modeling_qwen3_5
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig

ARRAYS = "torch"


def text_config(config: Mapping[str, Any]) -> Qwen3_5TextConfig:
    """A Qwen3.5 text config of Hugging Face keys."""
    known = Qwen3_5TextConfig(**{k: v for k, v in config.items() if k != "model_type"})
    known._attn_implementation = "eager"
    return known


def modeling(dtype: str) -> ModuleType:
    """transformers' module; for float64 its source with every float32 in it read as float64."""
    return _in_float64() if dtype == "float64" else modeling_qwen3_5


@cache
def _in_float64() -> ModuleType:
    """`.double()` leaves the casts to float32 inside norms, rotary, softmax and delta rule: they show at 1e-7."""
    source = inspect.getsource(modeling_qwen3_5)
    source = re.sub(r"torch\.float32\b|torch\.float\b(?!\d)", "torch.float64", source).replace(".float()", ".double()")
    name = f"{modeling_qwen3_5.__name__}_float64"
    module = ModuleType(name)
    module.__package__ = modeling_qwen3_5.__package__
    module.__file__ = modeling_qwen3_5.__file__
    sys.modules[name] = module
    exec(compile(source, name, "exec"), module.__dict__)
    return module
