"""Greedy generation with a cache; the loaded models use it as their method `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


@torch.no_grad()
def greedy(
    model: Any, tokens: torch.Tensor, max_new_tokens: int, *, stop: Sequence[int] = ()
) -> tuple[torch.Tensor, torch.Tensor]:
    """Append the likeliest next token repeatedly; after a token of `stop`, a row repeats that token.

    Shapes: tokens (B, T) -> new ids (B, n), n <= max_new_tokens, and the logits behind each choice (B, n, V).
    """
    logits, cache = model.prefill(tokens)
    ids: list[torch.Tensor] = []
    seen = []
    ended = torch.zeros(len(tokens), dtype=torch.bool, device=logits.device)
    ends = torch.tensor(list(stop), dtype=torch.long, device=logits.device)
    for _ in range(max_new_tokens):
        seen.append(logits[:, -1])
        chosen = logits[:, -1].argmax(dim=-1)
        ids.append(torch.where(ended, ids[-1], chosen) if ids else chosen)
        ended = ended | torch.isin(ids[-1], ends)
        if bool(ended.all()) or len(ids) == max_new_tokens:
            break
        logits, cache = model.decode(ids[-1][:, None], cache)
    return torch.stack(ids, dim=1), torch.stack(seen, dim=1)
