"""transformers' decoder on a given device; it moves the tokens to the model's device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from harness.falsifiers.baselines.transformers import decoder as transformers_decoder

ARRAYS = "torch"


class Placed:
    """A transformers decoder that moves its tokens to the model's device."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Next-token logits on the model's device. Shapes: tokens (B, T) on any device -> (B, T, V)."""
        out: torch.Tensor = self.decoder.logits(tokens.to(self.decoder.model.device))
        return out


def load(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, dtype: str, device: str) -> Placed:
    """The model on `device`, even if the run's differs. Source: harness.falsifiers.baselines.transformers.decoder."""
    return Placed(transformers_decoder.load(config, weights, dtype=dtype, device=device))
