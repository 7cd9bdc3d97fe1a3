"""A record of one forward, op by op: where its tensors were, in what dtype, and under what matmul precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.candidates.torch.model.decoder import load


class Recorder(TorchDispatchMode):
    """Notes every op that reaches a kernel while it is entered; `ops` is plain data."""

    def __init__(self) -> None:
        super().__init__()
        self.ops: list[dict[str, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        read, written = _tensors((args, kwargs)), _tensors(out)
        # A tensor without dimensions is a number to torch: it may stay on the host.
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
    """The ops of one forward of the loaded decoder, and the logits it gave.

    Shapes: tokens (B, T) -> {"ops": [...], "logits": (B, T, V)}; loading is not in the record.
    Units:  per op its name, `devices` and `dtypes` of the tensors read and written, `shapes` of those
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
    # The older allow_tf32 shows here too, while reading it raises after the newer setting was written.
    backends = torch.backends
    return [backends.cuda.matmul.fp32_precision, backends.mkldnn.matmul.fp32_precision]
