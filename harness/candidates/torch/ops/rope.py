"""Rotary position embedding in eager torch, CPU or CUDA: float64 inside, one rounding at the end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

ARRAYS = "torch"


def rope(
    x: torch.Tensor,
    positions: torch.Tensor,
    *,
    theta: float,
    interleaved: bool = False,
    rotary_dim: int | None = None,
    scaling: Mapping[str, Any] | None = None,
) -> torch.Tensor:
    """Each pair is a complex number, turned by exp(i * position * frequency); the tail beyond rotary_dim stays.

    Shapes: x (B, H, T, D), positions (T,) -> (B, H, T, D).
    Units:  pairs are halves, or neighbours when interleaved; scaling is Hugging Face's `rope_parameters`.
    Raises: ValueError on an unknown rope_type.
    """
    rotated = rotary_dim or x.shape[-1]
    inv_freq, attention_scaling = _inverse_frequencies(rotated, theta, scaling, x.device)
    angles = positions.to(x.device, torch.float64)[:, None] * inv_freq
    turn = torch.polar(torch.full_like(angles, attention_scaling), angles)
    wide = x[..., :rotated].double()
    pairs = wide.unflatten(-1, (-1, 2)) if interleaved else wide.unflatten(-1, (2, -1)).transpose(-1, -2)
    turned = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * turn)
    back = turned if interleaved else turned.transpose(-1, -2)
    return torch.cat((back.flatten(-2).to(x.dtype), x[..., rotated:]), dim=-1)


def _inverse_frequencies(
    dim: int, theta: float, scaling: Mapping[str, Any] | None, device: torch.device
) -> tuple[torch.Tensor, float]:
    """Radians per position of each pair, float64, and the factor on the rotation. Shapes: -> (dim/2,), float."""
    exponents = torch.arange(dim // 2, dtype=torch.float64, device=device) * (-2 / dim)
    inv_freq = torch.exp(exponents * math.log(theta))
    scaling = scaling or {}
    kind = scaling.get("rope_type", "default")
    if kind == "default":
        return inv_freq, 1.0
    if kind == "linear":
        return inv_freq / scaling["factor"], 1.0
    if kind == "llama3":
        return inv_freq * _llama3_share(inv_freq, scaling), 1.0
    if kind == "yarn":
        return inv_freq * _yarn_share(dim, theta, scaling, device), _yarn_attention_factor(scaling)
    raise ValueError(f"rope: found rope_type {kind!r}, expected default, linear, llama3 or yarn")


def _llama3_share(inv_freq: torch.Tensor, scaling: Mapping[str, Any]) -> torch.Tensor:
    """What is left of each frequency: 1/factor for the slow, 1 for the fast. Shapes: (R/2,) -> (R/2,)."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = inv_freq * scaling["original_max_position_embeddings"] / (2 * math.pi)
    return torch.lerp(
        torch.full_like(turns, 1 / scaling["factor"]),
        torch.ones_like(turns),
        ((turns - low) / (high - low)).clamp(0, 1),
    )


def _yarn_share(dim: int, theta: float, scaling: Mapping[str, Any], device: torch.device) -> torch.Tensor:
    """What is left of each frequency, by a ramp over the pair's index. Shapes: -> (dim/2,)."""

    def pair(turns: float) -> float:
        return dim / 2 * math.log(scaling["original_max_position_embeddings"] / (2 * math.pi * turns), theta)

    low, high = pair(scaling.get("beta_fast") or 32), pair(scaling.get("beta_slow") or 1)
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    index = torch.arange(dim // 2, dtype=torch.float64, device=device)
    ramp = ((index - low) / (high - low or 0.001)).clamp(0, 1)
    return 1 + ramp * (1 / scaling["factor"] - 1)


def _yarn_attention_factor(scaling: Mapping[str, Any]) -> float:
    if scaling.get("attention_factor") is not None:
        return float(scaling["attention_factor"])

    def temperature(mscale: float) -> float:
        return 1 + 0.1 * mscale * math.log(max(scaling["factor"], 1))

    over, under = scaling.get("mscale"), scaling.get("mscale_all_dim")
    return temperature(over) / temperature(under) if over and under else temperature(1)
