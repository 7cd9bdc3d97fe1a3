"""Record each op of a forward pass: its tensors' devices and dtypes, and the matmul precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.candidates.torch.model.decoder import load


class Recorder(TorchDispatchMode):
    """While entered, appends every op that reaches a kernel to `ops`, as plain data."""

    def __init__(self) -> None:
        super().__init__()
        self.ops: list[dict[str, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        read, written = _tensors((args, kwargs)), _tensors(out)
        # torch treats a tensor without dimensions as a number, which may stay on the host.
        placed = [x for x in (*read, *written) if x.dim()]
        self.ops.append(
            {
                "op": str(func),
                "devices": sorted({str(x.device) for x in placed}),
                "dtypes": sorted({str(x.dtype).removeprefix("torch.") for x in placed}),
                "shapes": [list(x.shape) for x in read],
                "precision": _precision(),
            }
        )
        return out


def trace(
    config: Mapping[str, Any], weights: Mapping[str, Any], tokens: torch.Tensor, *, dtype: str, device: str
) -> dict[str, Any]:
    """Run the loaded decoder once; return its ops and logits.

    Shapes: tokens (B, T) -> {"ops": [...], "logits": (B, T, V)}; loading is not recorded.
    Units:  per op its name, `devices` and `dtypes` of the tensors read and written, `shapes` of the tensors
            read, and `precision`, torch's settings for float32 products on CUDA and on the CPU
            ("none" and "ieee": full precision).
    Source: torch.utils._python_dispatch.TorchDispatchMode.
    """
    model = load(config, weights, dtype=dtype, device=device)
    with Recorder() as recorder:
        logits = model.logits(tokens)
    return {"ops": recorder.ops, "logits": logits}


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _precision() -> list[str]:
    # fp32_precision also reflects the older allow_tf32, which raises when read after fp32_precision was set.
    backends = torch.backends
    return [backends.cuda.matmul.fp32_precision, backends.mkldnn.matmul.fp32_precision]
