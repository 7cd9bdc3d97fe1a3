"""transformers' Qwen2 and Llama made float64 throughout: their norms and rotary compute in float32 otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def in_float64(model: Any) -> None:
    """Exchange the forward of the rotary embedding and of every RMSNorm, in place."""
    rotary = model.model.rotary_emb
    rotary.forward = _rotary(rotary.config)
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = _norm(module)


def _rotary(config: Any) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    theta = config.rope_parameters["rope_theta"]

    def forward(x: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        exponents = torch.arange(0, dim, 2, dtype=torch.float64, device=x.device) / dim
        angles = (position_ids.unsqueeze(-1) * theta**-exponents).repeat(1, 1, 2)
        return angles.cos(), angles.sin()

    return forward


def _norm(module: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x / (x.square().mean(-1, keepdim=True) + module.variance_epsilon).sqrt() * module.weight

    return forward
