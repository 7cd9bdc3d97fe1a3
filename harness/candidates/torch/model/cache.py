"""Keys and values of earlier tokens, and their padding mask."""

from __future__ import annotations

import torch


class KVCache:
    """One request's cache; `append` grows it in place.

    Shapes: keys[i] and values[i] (B, KV, S, D), keys rotated; real (B, S), False on padding.
    """

    def __init__(self, layers: int, batch: int, device: torch.device) -> None:
        self.keys: list[torch.Tensor | None] = [None] * layers
        self.values: list[torch.Tensor | None] = [None] * layers
        self.real = torch.zeros(batch, 0, dtype=torch.bool, device=device)

    def extend(self, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Register new tokens; return their positions (B, n) and the mask of keys hidden from them (B, 1, n, S).

        Units: positions count the real tokens of a row, from 0.
        """
        old = self.real.shape[1]
        self.real = torch.cat([self.real, real], dim=1)
        positions = (self.real.cumsum(1) - 1).clamp_min(0)[:, old:]
        slots = torch.arange(self.real.shape[1], device=real.device)
        queries = slots[old:, None]
        # A padded query sees itself: a softmax over no keys is NaN, and 0 * NaN would spread to real queries.
        hidden = ((slots > queries) | ~self.real[:, None, :]) & (slots != queries)
        return positions, hidden[:, None]

    def append(self, i: int, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Append new keys and values of layer i; return all of them, (B, KV, S, D)."""
        self.keys[i], self.values[i] = _joined(self.keys[i], k), _joined(self.values[i], v)
        return self.keys[i], self.values[i]


def _joined(old: torch.Tensor | None, new: torch.Tensor) -> torch.Tensor:
    return new if old is None else torch.cat([old, new], dim=2)
