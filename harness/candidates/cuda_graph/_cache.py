"""Keys and values in buffers of a fixed size, so that every decode step reads and writes the same addresses."""

from __future__ import annotations

import torch

from harness.candidates.cuda_graph._capture import Function

STEP = 64
"""Slots by which a cache is made larger."""


class FixedCache:
    """One request's cache, with its captured steps.

    Shapes: keys and values (L, B, KV, S, D), keys rotated; real (B, S), False on padding and where no token is yet.
    Units:  slots hold tokens 0 .. used - 1; `steps` maps the number of new tokens to their captured step.
    """

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, real: torch.Tensor) -> None:
        self.used = real.shape[1]
        self.steps: dict[int, Function] = {}
        self._slots: torch.Tensor | None = None
        size = -(-(self.used + 1) // STEP) * STEP
        self.keys, self.values = _longer(keys, size, 3), _longer(values, size, 3)
        self.real = _longer(real, size, 1)

    def make_room(self, count: int) -> None:
        """Enlarge the buffers for some more tokens; steps captured on the old ones are dropped."""
        size = self.real.shape[1]
        if self.used + count > size:
            size = -(-(self.used + count) // STEP) * STEP
            self.keys, self.values = _longer(self.keys, size, 3), _longer(self.values, size, 3)
            self.real = _longer(self.real, size, 1)
            self.steps = {}

    def extend(self, slots: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Register new tokens; return their positions (B, n) and the mask of slots hidden from them (B, 1, n, S).

        Shapes: slots (n,), on the device, so that a captured step reads them at every replay.
        """
        self._slots = slots
        self.real.index_fill_(1, slots, True)
        positions = (self.real.cumsum(1) - 1).clamp_min(0).index_select(1, slots)
        all_slots = torch.arange(self.real.shape[1], device=slots.device)
        queries = slots[:, None]
        # Slots after the query hold zeros or what a warm-up wrote; a padded query sees itself, as in the eager cache.
        hidden = ((all_slots > queries) | ~self.real[:, None, :]) & (all_slots != queries)
        return positions, hidden[:, None]

    def append(self, i: int, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new keys and values of layer i into their slots; return the whole buffers, (B, KV, S, D)."""
        assert self._slots is not None
        self.keys[i].index_copy_(2, self._slots, k)
        self.values[i].index_copy_(2, self._slots, v)
        return self.keys[i], self.values[i]


def _longer(old: torch.Tensor, size: int, axis: int) -> torch.Tensor:
    """A copy with zeros behind it along an axis, up to `size`."""
    shape = list(old.shape)
    shape[axis] = size - shape[axis]
    return torch.cat([old, torch.zeros(shape, dtype=old.dtype, device=old.device)], dim=axis)
