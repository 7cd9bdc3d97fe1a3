"""transformers in float64 throughout; by itself it computes norms, rotary tables, softmax and scans in float32."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
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


@contextlib.contextmanager
def in_float64(wanted: bool = True) -> Iterator[None]:
    """Inside, float32 is float64, also where torch chooses by default (`torch.tensor(0.5)`); not if it is not wanted.

    A model has to be loaded inside too: rotary frequencies and multipliers kept in buffers are computed then.
    """
    if not wanted:
        yield
        return
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Float64():
            yield
    finally:
        torch.set_default_dtype(before)
