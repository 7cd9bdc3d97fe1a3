"""The eager candidate's decoder with fused attention and norms; cache and layout are unchanged."""

from __future__ import annotations

from collections.abc import Callable

import torch

from harness.candidates.torch.model import decoder as eager
from harness.candidates.torch_sdpa._masked import masked
from harness.candidates.torch_sdpa.ops import rmsnorm

ARRAYS = "torch"
INSIDE = ("scores", "probs")
"""Stages inside the fused kernel, which can be neither read nor replaced."""


class Decoder(eager.Decoder):
    """`harness.candidates.torch.model.decoder.Decoder` without the stages `scores` and `probs`."""

    norm = staticmethod(rmsnorm)

    def stages(self, tokens: torch.Tensor, replace: eager.Weights | None = None) -> dict[str, torch.Tensor]:
        """Every stage outside the fused kernel; replacements for stages inside it are ignored."""
        kept = {name: value for name, value in (replace or {}).items() if not name.endswith(INSIDE)}
        return super().stages(tokens, kept)

    def attend(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        hidden: torch.Tensor,
        at: Callable[[str, torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        """q (B, H, n, D), k and v (B, KV, S, D), hidden (n, S) or (B, 1, n, S) -> (B, H, n, D)."""
        return masked(q, k, v, ~hidden)


load = Decoder.load
