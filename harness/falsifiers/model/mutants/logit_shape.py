"""Logits that say nothing."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace


@mutant
def constant_logits(baseline: Any) -> Any:
    """Every logit is the same number: a buffer that no kernel ever wrote (system D5)."""
    return _edited(baseline, lambda logits: torch.full_like(logits, 0.5))


@mutant
def prompt_independent_logits(baseline: Any) -> Any:
    """A good-looking distribution that is the same after any prompt (N4: utensils/mold#1078)."""
    return _edited(baseline, lambda logits: logits[:1, :1].expand_as(logits).clone())


@mutant
def uniform_logits(baseline: Any) -> Any:
    """A scale lost on the way: all tokens almost equally likely (system D5)."""
    return _edited(baseline, lambda logits: logits * 1e-5)


def _edited(baseline: Any, edit: Callable[[Tensor], Tensor]) -> Any:
    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        model = baseline.load(config, weights, dtype=dtype, device=device)
        return SimpleNamespace(logits=lambda tokens: edit(model.logits(tokens)))

    return replace(baseline, load=load)
