"""transformers' rotary position embedding: its own frequency tables and rotation functions.

Angles and tables are float32 and are cast to x's dtype, as in `LlamaRotaryEmbedding`.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.glm.modeling_glm import apply_rotary_pos_emb as rotate_neighbours
from transformers.models.gpt_neox.modeling_gpt_neox import apply_rotary_pos_emb as rotate_halves
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

ARRAYS = "torch"


def rope(
    x: torch.Tensor,
    positions: torch.Tensor,
    *,
    theta: float,
    interleaved: bool = False,
    rotary_dim: int | None = None,
    scaling: dict[str, Any] | None = None,
) -> torch.Tensor:
    """GPT-NeoX's (halves) or GLM's (neighbours) apply_rotary_pos_emb; neither rotates dimensions from rotary_dim on.

    Shapes: x (B, H, T, D), positions (T,) -> (B, H, T, D).
    """
    inv_freq, attention_scaling = frequencies(rotary_dim or x.shape[-1], theta, scaling)
    return rotate(x, positions.float()[:, None] * inv_freq.to(x.device), attention_scaling, interleaved)


def frequencies(dim: int, theta: float, scaling: dict[str, Any] | None = None) -> tuple[torch.Tensor, float]:
    """inv_freq (dim/2,) and attention scaling of LlamaRotaryEmbedding or ROPE_INIT_FUNCTIONS."""
    parameters = {"rope_type": "default", **(scaling or {}), "rope_theta": theta}
    extended = parameters.get("factor", 1) * parameters.get("original_max_position_embeddings", 2048)
    config = LlamaConfig(
        hidden_size=dim,
        num_attention_heads=1,
        head_dim=dim,
        max_position_embeddings=int(extended),
        rope_parameters=parameters,
    )
    kind = config.rope_parameters["rope_type"]
    table = LlamaRotaryEmbedding.compute_default_rope_parameters if kind == "default" else ROPE_INIT_FUNCTIONS[kind]
    inv_freq, attention_scaling = table(config)
    return inv_freq, float(attention_scaling)


def rotate(x: torch.Tensor, angles: torch.Tensor, attention_scaling: float, interleaved: bool) -> torch.Tensor:
    """x rotated by angles, in x's dtype. Shapes: x (B, H, T, D), angles (T, R/2)."""
    both = torch.cat((angles, angles), dim=-1)[None]
    cos, sin = ((part * attention_scaling).to(x.dtype) for part in (both.cos(), both.sin()))
    turned, _ = (rotate_neighbours if interleaved else rotate_halves)(x, x, cos, sin)
    return turned
