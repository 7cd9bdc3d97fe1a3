"""See every torch operation of a call, and count those that concern the host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.subject.traffic import Traffic

TRANSFERS = frozenset(("_to_copy", "copy_", "_copy_from"))
READS = frozenset(
    (
        *("_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select"),
        *("_unique", "_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive"),
    )
)
"""Operations that wait for the device because the host needs a value, or the size of the result, to go on."""
MASKS = (torch.bool, torch.uint8)
Tensors = list[torch.Tensor]


class Watch(TorchDispatchMode):
    """While entered, adds every operation that concerns the host to `traffic`, as `<label>: <operation>`."""

    def __init__(self, traffic: Traffic, label: str) -> None:
        super().__init__()
        self._traffic = traffic
        self._label = label

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        read: Tensors = []
        written: Tensors = []
        _gather(args, read)
        if kwargs:
            _gather(kwargs.values(), read)
        _gather((out,), written)
        kind = _kind(func, read, written)
        if kind:
            getattr(self._traffic, kind)[f"{self._label}: {func}"] += 1
        return out


def _kind(func: Any, read: Tensors, written: Tensors) -> str | None:
    """The counter of Traffic to which an operation belongs; None if it stays on the device.

    A host tensor without dimensions does not count: torch treats it as a number.
    """
    name = func.overloadpacket.__name__
    device = any(not (x.is_cpu or x.is_meta) for x in (*read, *written))
    host = any(x.is_cpu and x.dim() for x in (*read, *written))
    by_mask = name == "index" and any(x.dtype in MASKS for x in read[1:])
    to_number = name in TRANSFERS and not host and any(x.is_cpu for x in written)
    if device and (name in READS or by_mask or to_number):
        return "reads"
    if device and host:
        return "copies"
    return "host" if host else None


def _gather(values: Iterable[Any], found: Tensors) -> None:
    """Add the tensors among values, lists and tuples; torch's own walk over any structure takes ten times as long."""
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            _gather(value, found)
