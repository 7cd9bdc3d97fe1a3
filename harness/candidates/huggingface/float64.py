"""Run transformers in float64 throughout; by itself it casts norms, rotary tables, softmax, delta rule to float32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _Float64(TorchFunctionMode):
    """Replaces torch.float32 by torch.float64 in every torch call, and `.float()` by `.double()`."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function is torch.Tensor.float:
            return args[0].double()
        named = {key: _wide(value) for key, value in (kwargs or {}).items()}
        return function(*map(_wide, args), **named)


def _wide(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


def in_float64(model: Any) -> None:
    """Make the model's forward passes and rotary frequencies float64, in place."""
    rotary, forward = model.model.rotary_emb, model.forward

    def wide(*args: Any, **kwargs: Any) -> Any:
        with _Float64():
            return forward(*args, **kwargs)

    with _Float64():
        frequencies, rotary.attention_scaling = rotary.compute_default_rope_parameters(rotary.config)
    rotary.inv_freq = frequencies.to(rotary.inv_freq.device)
    model.forward = wide
