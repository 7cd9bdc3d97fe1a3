"""transformers' decoder, whose ops torch's dispatcher records with their devices and dtypes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from harness.falsifiers.baselines.transformers.decoder import ARRAYS, load

__all__ = ["ARRAYS", "load", "trace", "witnessed"]


class Witness(TorchDispatchMode):
    """A dispatch mode that appends one entry per kernel call to `seen`."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = [leaf for leaf in tree_flatten([args, kwargs])[0] if isinstance(leaf, torch.Tensor)]
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in [*inputs, *tree_flatten(result)[0]] if isinstance(leaf, torch.Tensor)]
        self.seen.append(
            {
                "op": str(func),
                "devices": list(dict.fromkeys(str(t.device) for t in tensors if t.ndim > 0)),
                "dtypes": list(dict.fromkeys(str(t.dtype).split(".")[-1] for t in tensors if t.ndim > 0)),
                "shapes": [list(t.shape) for t in inputs],
                "precision": _precision(),
            }
        )
        return result


def trace(
    config: Mapping[str, Any], weights: Mapping[str, Any], tokens: torch.Tensor, *, dtype: str, device: str
) -> dict[str, Any]:
    """Every op of one forward pass, as the dispatcher recorded it, and the logits.

    Shapes: tokens (B, T) -> {"ops": [...], "logits": (B, T, V)}.
    Source: torch.utils._python_dispatch.TorchDispatchMode around transformers' forward.
    """
    return witnessed(load(config, weights, dtype=dtype, device=device), tokens)


def witnessed(model: Any, tokens: torch.Tensor) -> dict[str, Any]:
    """Run a loaded model once and record its ops; returns the same as `trace`."""
    with Witness() as witness:
        logits = model.logits(tokens)
    return {"ops": witness.seen, "logits": logits}


def _precision() -> list[str]:
    """The settings of CUDA and the CPU's mkldnn for float32 products: none, ieee, tf32 or bf16."""
    return [each.matmul.fp32_precision for each in (torch.backends.cuda, torch.backends.mkldnn)]
