"""The eager decoder with norms and softmax compiled for each shape; every other step stays eager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from harness.candidates.torch.adapters.lora import Adapter
from harness.candidates.torch.model import decoder as eager
from harness.candidates.torch_compile_static.ops import rmsnorm, softmax

ARRAYS = "torch"


class Decoder(eager.Decoder):
    """`harness.candidates.torch.model.decoder.Decoder` with compiled norms and softmax."""

    norm = staticmethod(rmsnorm)
    softmax = staticmethod(softmax)


def load(
    config: Mapping[str, Any],
    weights: Mapping[str, Any],
    *,
    lora: Mapping[str, Adapter] | None = None,
    dtype: str,
    device: str,
) -> Decoder:
    """Put the weights on `device` in `dtype`. Raises: ValueError as the eager candidate's `load`."""
    kind = getattr(torch, dtype)
    decoder = Decoder(dict(config), {name: torch.as_tensor(w).to(device, kind) for name, w in weights.items()})
    decoder.adapt(lora or {})
    return decoder
