"""The loss of a decoder over batches, and the loss of a uniform guess."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from harness.candidates.torch.model.decoder import load

IGNORED = -100


@torch.no_grad()
def evaluate(
    config: Mapping[str, Any],
    weights: Mapping[str, Any],
    batches: Sequence[tuple[torch.Tensor, torch.Tensor]],
    *,
    dtype: str,
    device: str,
) -> dict[str, float]:
    """Mean cross-entropy per token, ln(vocabulary), and the number of tokens in the mean.

    Shapes: each batch (tokens (B, T), targets (B, T)); targets[:, t] follows tokens[:, t], -100 is ignored.
    Units:  nats; the sum over all batches is divided once, so that every token weighs the same.
    Raises: ValueError if all targets are -100.
    """
    model = load(config, weights, dtype=dtype, device=device)
    total, count = 0.0, 0
    for tokens, targets in batches:
        logits = model.logits(tokens).double()
        kept = targets.to(logits.device) != IGNORED
        chosen = targets.to(logits.device).clamp(min=0)[..., None]
        loss = logits.logsumexp(dim=-1) - logits.gather(-1, chosen)[..., 0]
        total += float(loss[kept].sum())
        count += int(kept.sum())
    if not count:
        raise ValueError("batches: found no target to count, expected at least one that is not -100")
    return {"val_loss": total / count, "ln_vocab": math.log(int(config["vocab_size"])), "tokens": count}
