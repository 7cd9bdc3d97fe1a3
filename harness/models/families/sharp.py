"""Random weights with which every option of a config shows in the logits."""

from __future__ import annotations

from typing import Any

import torch

TINY_ROW = 7
"""Every such row of the embedding is tiny, so that the eps of the first norm counts."""


@torch.no_grad()
def sharpen(model: Any, seed: int) -> None:
    """Overwrite all parameters and saved buffers of a transformers model, in place.

    Attention is peaked but not saturated: scores have a standard deviation of 2 to 5. No gain is 1, no bias is 0.
    """
    random = torch.Generator().manual_seed(seed)
    kind = model.config.model_type
    for name, tensor in [*model.named_parameters(), *saved_buffers(model)]:
        noise = torch.randn(tensor.shape, generator=random)
        tensor.copy_(_vector(name, tensor, noise, kind) if tensor.ndim == 1 else _matrix(name, noise, kind))
    embedding = model.get_input_embeddings()
    embedding.weight /= float(getattr(embedding, "scalar_embed_scale", 1.0))


def saved_buffers(model: Any) -> list[tuple[str, Any]]:
    """The buffers that a checkpoint holds: correction biases and layer scalars."""
    kept = model.state_dict().keys()
    return [(name, buffer) for name, buffer in model.named_buffers() if name in kept]


def _vector(name: str, tensor: Any, noise: Any, kind: str) -> Any:
    """Gains stay around what transformers starts them with: 1, or 0 where the norm multiplies by 1 + w."""
    last = name.rpartition(".")[2]
    if last == "A_log":
        return (0.3 + 1.7 * torch.special.ndtr(noise)).log()
    if last == "dt_bias":
        return noise - 1
    if last == "sinks":
        return 1 + 1.5 * noise
    if last == "e_score_correction_bias":
        return 0.2 * noise
    if last == "bias":
        return 0.5 * noise
    # Normed queries and keys have scores of standard deviation 1 before the gains, but sqrt(head_dim) in Gemma 4.
    sharper = 0.6 if (".q_norm" in name or ".k_norm" in name) and kind != "gemma4_text" else 0.0
    return tensor + sharper + 0.3 * noise


def _matrix(name: str, noise: Any, kind: str) -> Any:
    parts = name.split(".")
    if "embed" in name and "proj" not in name:
        noise[::TINY_ROW] *= 0.003
        return noise
    if "conv1d" in parts:
        return noise * noise.shape[-1] ** -0.5
    if parts[-1].endswith("_bias"):
        return 0.5 * noise
    # GPT-OSS alone stores its experts as (experts, in, out).
    width = noise.shape[-2] if kind == "gpt_oss" and "experts" in parts else noise.shape[-1]
    return noise * _strength(parts) * width**-0.5


def _strength(parts: list[str]) -> float:
    if {"q_proj", "k_proj", "qkv_proj"} & set(parts):
        return 1.8
    if {"q_b_proj", "kv_b_proj", "kv_a_proj_with_mqa"} & set(parts):
        return 1.5
    return 1.5 if {"gate", "router"} & set(parts) else 1.0
