"""A transformers causal language model with the methods `logits`, `prefill` and `decode`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache


@dataclass
class Cache:
    """One request's keys and values, and the mask (B, S): 1 for a token, 0 for padding."""

    kv: DynamicCache
    mask: torch.Tensor


class Decoder:
    """The interface of `harness.candidates.torch.model.decoder.Decoder`, without stages."""

    ARRAYS = "torch"

    def __init__(self, model: Any) -> None:
        self.model = model

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Shapes: tokens (B, T) -> (B, T, V)."""
        return self.model(input_ids=tokens, use_cache=False).logits

    def prefill(self, tokens: torch.Tensor, lengths: torch.Tensor | None = None) -> tuple[torch.Tensor, Cache]:
        """Shapes: tokens (B, T), lengths (B,) of left-padded rows -> logits (B, T, V)."""
        mask = torch.ones_like(tokens)
        if lengths is not None:
            mask = mask.cumsum(1).gt(tokens.shape[1] - lengths[:, None]).long()
        return self._append(tokens, Cache(DynamicCache(config=self.model.config), mask))

    def decode(self, tokens: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        """Shapes: tokens (B, n) -> logits (B, n, V)."""
        return self._append(tokens, Cache(cache.kv, torch.cat([cache.mask, torch.ones_like(tokens)], dim=1)))

    @torch.no_grad()
    def _append(self, tokens: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        # As in transformers' `generate`, a token's position is the number of real tokens before it.
        positions = (cache.mask.cumsum(-1) - 1).masked_fill(cache.mask == 0, 0)[:, -tokens.shape[1] :]
        out = self.model(
            input_ids=tokens,
            attention_mask=cache.mask,
            position_ids=positions,
            past_key_values=cache.kv,
            use_cache=True,
        )
        return out.logits, cache
