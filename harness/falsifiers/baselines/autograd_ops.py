"""Backward of the ops of torch.nn.functional by torch.autograd, as PyTorch's authors wrote both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from harness.falsifiers.baselines import torch_ops

ARRAYS = "torch"
BACKWARD = "_backward"


def _backward(op: Callable[..., torch.Tensor], leaves: int | None = None) -> Callable[..., tuple[torch.Tensor, ...]]:
    """`op`'s backward: the gradients of its first `leaves` floating inputs (None: of all), in input order."""

    def backward(dout: Any, *inputs: Any, **options: Any) -> tuple[torch.Tensor, ...]:
        known: dict[int | str, Any] = dict(enumerate(inputs))
        known.update(options)
        floating = [key for key, value in known.items() if torch.is_tensor(value) and value.is_floating_point()]
        found = {key: known[key].detach().requires_grad_() for key in floating[:leaves]}
        known.update(found)
        out = op(*(known[i] for i in range(len(inputs))), **{key: known[key] for key in options})
        upstream = torch.as_tensor(dout, dtype=out.dtype, device=out.device)
        return torch.autograd.grad(out, list(found.values()), upstream)

    return backward


def __getattr__(name: str) -> Callable[..., tuple[torch.Tensor, ...]]:
    """`<op>_backward` of any op in `torch_ops`: the gradients of all its floating inputs."""
    op = name.removesuffix(BACKWARD)
    if op == name or op not in _ops():
        raise AttributeError(f"module {__name__!r} has no {name!r}")
    return _backward(getattr(torch_ops, op))


def __dir__() -> list[str]:
    return [*globals(), *(f"{op}{BACKWARD}" for op in _ops())]


def _ops() -> list[str]:
    found = [name for name, each in vars(torch_ops).items() if getattr(each, "__module__", "") == torch_ops.__name__]
    return [name for name in found if not name.startswith("_")]


weighted_bce_backward = _backward(torch_ops.weighted_bce, leaves=1)
"""Labels and weights are constants."""


def rope_backward(dout: torch.Tensor, x: torch.Tensor, positions: torch.Tensor, **options: Any) -> tuple[Any, ...]:
    """The backward of transformers' rotations; transformers takes seconds to import, which no other op needs."""
    from harness.falsifiers.baselines.transformers import rope

    return _backward(rope.rope)(dout, x, positions, **options)
