"""Count the operations whose results have fewer bits than float64."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LOW = (torch.float32, torch.bfloat16, torch.float16)


class LowPrecision(TorchDispatchMode):
    """`seen`: how often each operation returned a tensor of low precision while the mode was on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        if any(isinstance(leaf, torch.Tensor) and leaf.dtype in LOW for leaf in tree_leaves(out)):
            self.seen[str(function)] += 1
        return out


def rounded_buffers(model: Any) -> list[str]:
    """The computed buffers (not of the checkpoint) that are no finer than float32: rounded when they were made."""
    stored = model.state_dict().keys()
    return [
        name
        for name, buffer in model.named_buffers()
        if name not in stored and buffer.is_floating_point() and torch.equal(buffer.float().double(), buffer.double())
    ]
