"""transformers' decoder on a device of its own: tokens follow the model, wherever the run put them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from harness.falsifiers.baselines.transformers import decoder as transformers_decoder

ARRAYS = "torch"


class Placed:
    """A transformers decoder that fetches its tokens."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Next-token logits on the model's device. Shapes: tokens (B, T) on any device -> (B, T, V)."""
        out: torch.Tensor = self.decoder.logits(tokens.to(self.decoder.model.device))
        return out


def load(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, dtype: str, device: str) -> Placed:
    """The model on `device`, which need not be the run's. Source: harness.falsifiers.baselines.transformers.decoder."""
    return Placed(transformers_decoder.load(config, weights, dtype=dtype, device=device))
