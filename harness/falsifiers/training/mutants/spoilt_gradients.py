"""A baseline whose models give wrong gradients beside the right loss; the tensors that the mutants spoil."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from harness.mutant import replace

Gradients = dict[str, torch.Tensor]
Edit = Callable[[Any, torch.Tensor, torch.Tensor, Gradients], Gradients]
"""(model, tokens, targets, right gradients) -> wrong ones."""
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
GATE, UP = "model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight"
DOWN, GAIN = "model.layers.0.mlp.down_proj.weight", "model.layers.0.post_attention_layernorm.weight"
KEY, VALUE = "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.v_proj.weight"
IGNORED = -100


def spoilt(baseline: Any, edit: Edit) -> Any:
    """The baseline whose models give edited gradients beside the right loss."""

    def wrap(model: Any) -> Any:
        def loss_and_grads(tokens: torch.Tensor, targets: torch.Tensor) -> tuple[float, Gradients]:
            loss, gradients = model.loss_and_grads(tokens, targets)
            return loss, edit(model, tokens, targets, gradients)

        return replace(model, loss_and_grads=loss_and_grads)

    return wrapped(baseline, wrap)


def wrapped(baseline: Any, wrap: Callable[[Any], Any]) -> Any:
    def load(config: dict[str, Any], weights: Gradients, *, dtype: str, device: str) -> Any:
        return wrap(baseline.load(config, weights, dtype=dtype, device=device))

    return replace(baseline, load=load)
