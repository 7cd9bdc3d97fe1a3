"""Run an implementation with some of torch's operations replaced."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from reordered.gpu_functions import flash_attention

Table = dict[str, Callable[..., Any]]


class Arithmetic(TorchDispatchMode):
    """Runs the operations named in `table` by its functions, and all others as torch does."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.table = table

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        own = self.table.get(name.rstrip("_"))
        first = next((a for a in args if torch.is_tensor(a)), None)
        if own is None or first is None or not first.is_floating_point() or "out" in (kwargs or {}):
            return func(*args, **(kwargs or {}))
        result = own(*args, **(kwargs or {}))
        return args[0].copy_(result) if name.endswith("_") else result


class Flash(TorchFunctionMode):
    """Answers `scaled_dot_product_attention` by flash attention."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention:
            return flash_attention(*args, **kwargs)
        return func(*args, **(kwargs or {}))


class Under:
    """An implementation, or an object it returned, each of whose calls runs inside the modes."""

    ARRAYS = "torch"

    def __init__(self, target: Any, modes: Callable[[], list[Any]]) -> None:
        self._target, self._modes = target, modes

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return _inside(value, self._modes) if callable(value) else value


def _inside(function: Callable[..., Any], modes: Callable[[], list[Any]]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = _bare(args), _bare(kwargs)
        with ExitStack() as stack:
            for mode in modes():
                stack.enter_context(mode)
            return _wrapped(function(*args, **kwargs), modes)

    return call


def _bare(value: Any) -> Any:
    if isinstance(value, Under):
        return value._target
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items()}
    return type(value)(_bare(item) for item in value) if type(value) in (list, tuple) else value


def _wrapped(value: Any, modes: Callable[[], list[Any]]) -> Any:
    if value is None or isinstance(value, (bool, int, float, str, bytes, Mapping)) or hasattr(value, "dtype"):
        return value
    if isinstance(value, (list, tuple)):
        items = [_wrapped(item, modes) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return Under(value, modes)
