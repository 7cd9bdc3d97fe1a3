"""Loss of transformers' decoder by torch's cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from harness.falsifiers.baselines.transformers.decoder import ARRAYS, load

__all__ = ["ARRAYS", "evaluate", "load"]

Batches = Sequence[tuple[torch.Tensor, torch.Tensor]]


def evaluate(
    config: Mapping[str, Any], weights: Mapping[str, Any], batches: Batches, *, dtype: str, device: str
) -> dict[str, float]:
    """Mean cross-entropy per counted token in nats, ln(vocabulary), and the count.

    Shapes: each batch (tokens (B, T), targets (B, T)); targets are already shifted, -100 is ignored.
    Source: torch.nn.functional.cross_entropy, reduction="sum", ignore_index=-100.
    """
    model = load(config, weights, dtype=dtype, device=device)
    total = sum(
        cross_entropy(model.logits(tokens).double().flatten(0, 1), targets.flatten(), reduction="sum").item()
        for tokens, targets in batches
    )
    count = sum(int((targets != -100).sum()) for _, targets in batches)
    return {"val_loss": total / count, "ln_vocab": math.log(config["vocab_size"]), "tokens": count}
