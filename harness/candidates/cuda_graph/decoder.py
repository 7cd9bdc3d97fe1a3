"""The eager decoder with `logits` and `decode` captured in CUDA graphs; the prompt itself runs eagerly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from harness.candidates.cuda_graph._cache import FixedCache
from harness.candidates.cuda_graph._capture import Function, NeedsCuda, capture
from harness.candidates.torch.adapters.lora import Adapter
from harness.candidates.torch.model import decoder as eager

ARRAYS = "torch"


class Decoder(eager.Decoder):
    """`harness.candidates.torch.model.decoder.Decoder`; one graph per shape of `logits`, and per cache and step.

    `capture` captures a function; a test without CUDA gives one that works like it.
    """

    def __init__(self, config: dict[str, Any], weights: dict[str, torch.Tensor], capture: Any = capture) -> None:
        super().__init__(config, weights)
        self._capture = capture
        self._whole: dict[tuple[int, ...], Function] = {}

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Next-token logits, replayed from the second call of a shape on. Shapes: tokens (B, T) -> (B, T, V)."""
        tokens = tokens.to(self.device)
        shape = tuple(tokens.shape)
        if shape not in self._whole:
            self._whole[shape] = self._capture(super().logits, tokens)
        return self._whole[shape](tokens)

    @torch.no_grad()
    def prefill(self, tokens: torch.Tensor, lengths: torch.Tensor | None = None) -> tuple[torch.Tensor, Any]:
        """Logits of a prompt, run eagerly, and its cache in buffers of a fixed size. Shapes: as the eager decoder's."""
        logits, cache = super().prefill(tokens, lengths)
        return logits, FixedCache(torch.stack(cache.keys), torch.stack(cache.values), cache.real)

    @torch.no_grad()
    def decode(self, tokens: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:
        """Logits of the next n tokens of every row, from a captured step. Shapes: tokens (B, n) -> (B, n, V)."""
        tokens = tokens.to(self.device)
        count = tokens.shape[1]
        cache.make_room(count)
        slots = torch.arange(cache.used, cache.used + count, device=self.device)
        if count not in cache.steps:
            cache.steps[count] = self._capture(lambda t, s: self._step(t, s, cache), tokens, slots)
        logits = cache.steps[count](tokens, slots)
        cache.used += count
        return logits, cache

    def _step(self, tokens: torch.Tensor, slots: torch.Tensor, cache: FixedCache) -> torch.Tensor:
        return self._forward(tokens, lambda _, value: value, cache, *cache.extend(slots))  # type: ignore[arg-type]

    def adapt(self, lora: Mapping[str, Adapter]) -> None:
        """Add adapters; graphs captured before are dropped. Raises: as the eager decoder."""
        super().adapt(lora)
        self._whole = {}


def load(
    config: Mapping[str, Any],
    weights: Mapping[str, Any],
    *,
    lora: Mapping[str, Adapter] | None = None,
    dtype: str,
    device: str,
) -> Decoder:
    """Put the weights on `device` in `dtype`.

    Raises: NeedsCuda on another device or for a hybrid model; ValueError as the eager candidate's `load`.
    """
    if torch.device(device).type != "cuda":
        raise NeedsCuda(f"cuda_graph: found device {device}, expected cuda; a CUDA graph is captured there only")
    if config.get("model_type") in eager.HYBRID:
        raise NeedsCuda(f"cuda_graph: found model_type {config['model_type']!r}, expected qwen2 or llama")
    return Decoder.load(config, weights, lora=lora, dtype=dtype, device=device)
