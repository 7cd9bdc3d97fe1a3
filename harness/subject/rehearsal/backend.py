"""Register the rehearsal device with torch: its module, its factories, and its autocast.

Source: torch.utils.backend_registration, and torch's own test/test_privateuseone_python_backend.py for its use.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.utils import backend_registration

from harness.subject.boundary import Unsupported
from harness.subject.rehearsal.rules import NAME
from harness.subject.rehearsal.tensor import dispatch

AUTOCAST = ("mm", "bmm", "addmm", "baddbmm", "matmul", "linear")
"""The products that autocast computes in its lower precision, as on CUDA."""

BELOW_PYTHON = (
    torch.ops.aten.copy_.default,
    torch.ops.aten._to_copy.default,
    torch.ops.aten.empty.memory_format,
    torch.ops.aten.empty_strided.default,
    torch.ops.aten.fill_.Scalar,
)
"""What torch.tensor calls with Python's dispatch switched off; there torch finds kernels, and no fallback in Python."""


class Module:
    """`torch.rehearsal`: one device, always there."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def manual_seed_all(self, seed: int) -> None:
        """The host's generator, which torch seeds itself, draws for this device."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]

    def synchronize(self, device: Any = None) -> None:
        """Nothing to wait for: every operation has ended when it returns."""

    def get_device_name(self, device: Any = None) -> str:
        return "rehearsal device: CPU kernels behind the rules of a GPU"


@functools.cache
def start() -> None:
    """Register the device in this process; a second call does nothing.

    Raises: Unsupported if this torch lets no device be written in Python; RuntimeError if another package has already
            given torch's free device slot a name.
    """
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        raise Unsupported(f"torch {torch.__version__} lets no device be written in Python, as the rehearsal device is")
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=Module())
    every, aten = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    _libraries.extend((every, aten))
    every.fallback(_kernel, "PrivateUse1")
    every.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for func in BELOW_PYTHON:
        aten.impl(func.name().removeprefix("aten::"), functools.partial(_kernel, func), "PrivateUse1")
    for name in AUTOCAST:
        aten.impl(name, functools.partial(_lowered, getattr(torch.ops.aten, name).default), "AutocastPrivateUse1")


_libraries: list[torch.library.Library] = []
"""A library's kernels vanish with the object."""


def _kernel(func: Any, *args: Any, **kwargs: Any) -> Any:
    return dispatch(func, args, kwargs)


def _lowered(func: Any, *args: Any) -> Any:
    """The product in autocast's dtype."""
    kind = torch.get_autocast_dtype(NAME)
    lower = [x.to(kind) if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in args]
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)
    with torch._C._ExcludeDispatchKeyGuard(key):
        return func(*lower)
