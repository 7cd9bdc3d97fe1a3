"""A tensor on the rehearsal device: it holds a CPU tensor and runs each operation on that."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import return_and_correct_aliasing

from harness.subject.rehearsal.rules import NAME, check

HOST = torch.device("cpu")


class RehearsalTensor(torch.Tensor):
    """A tensor whose device is `rehearsal:0`; `host` is the CPU tensor that holds its values."""

    host: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, host: torch.Tensor) -> RehearsalTensor:
        made: RehearsalTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            host.shape,
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            device=torch.device(NAME, 0),
        )
        made.host = host
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatch(func, args, kwargs or {})

    # torch implements the next four in C++ and refuses subclasses there.
    def numpy(self, *, force: bool = False) -> np.ndarray:
        """NumPy of a copy on the host if `force`, as for a CUDA tensor.

        Raises: TypeError otherwise.
        """
        if not force:
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
                "memory first."
            )
        return self.detach().cpu().numpy()

    def tolist(self) -> Any:
        """The values as Python numbers; they are copied to the host."""
        return self.detach().cpu().tolist()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"{self.host!r:.2000}".removesuffix(")") + f", device='{self.device}')"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.dim() == 0 and spec else str(self)

    @property
    def data(self) -> torch.Tensor:
        return self.detach()

    @data.setter
    def data(self, new: torch.Tensor) -> None:
        torch.Tensor.data.__set__(self, new)
        if isinstance(new, RehearsalTensor):
            self.host = new.host


def dispatch(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run one operation on the host's kernels; its results are on the device, unless it copies to the CPU.

    Raises: RuntimeError and NotImplementedError where CUDA would (`rules.check`); what the kernel raises.
    """
    ours: list[RehearsalTensor] = []
    others: list[torch.Tensor] = []
    own = [_on_host(value, ours, others) for value in args]
    named = {key: _on_host(value, ours, others) for key, value in kwargs.items()}
    check(func, ours, others)
    out = func(*own, **named)
    if func._schema.is_mutable:
        _follow(ours)
        if torch.Tag.inplace_view in func.tags:
            return args[0]
    if _leaves_device(func, args, kwargs):
        return args[0] if func is torch.ops.aten.copy_.default else out
    if _aliases(func):
        return return_and_correct_aliasing(func, args, kwargs, _on_device(out))
    return _on_device(out)


def _follow(tensors: list[RehearsalTensor]) -> None:
    """Give a tensor whose host tensor was resized or transposed in place the new sizes and strides."""
    for tensor in tensors:
        if (tensor.shape, tensor.stride()) != (tensor.host.shape, tensor.host.stride()):
            torch.Tensor.data.__set__(tensor, RehearsalTensor(tensor.host))


@functools.cache
def _aliases(func: Any) -> bool:
    """Whether a result of the operation shares memory with an argument, or is one."""
    schema = func._schema
    return any(value.alias_info is not None for value in (*schema.arguments, *schema.returns))


def _leaves_device(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether the result is on another device: a copy to the CPU, or a factory that was asked for it."""
    if func is torch.ops.aten.copy_.default:
        return not isinstance(args[0], RehearsalTensor)
    asked = kwargs.get("device")
    return asked is not None and torch.device(asked).type != NAME


def _on_host(value: Any, ours: list[RehearsalTensor], others: list[torch.Tensor]) -> Any:
    """An argument as the host's kernel takes it; adds its tensors to `ours` (device) or `others` (host)."""
    if isinstance(value, RehearsalTensor):
        ours.append(value)
        return value.host
    if isinstance(value, torch.Tensor):
        others.append(value)
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(_on_host(item, ours, others) for item in value)
    return HOST if isinstance(value, torch.device) and value.type == NAME else value


def _on_device(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and not isinstance(value, RehearsalTensor):
        # Below Python's dispatch torch no longer looks at the bits of a lazy conjugate or negative.
        return RehearsalTensor(value.resolve_conj().resolve_neg())
    return type(value)(map(_on_device, value)) if isinstance(value, (list, tuple)) else value
