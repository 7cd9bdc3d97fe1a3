"""A whole rotary embedding whose parts can be replaced: angles, pairs, factor."""

from __future__ import annotations

import math

import numpy as np


def frequencies(size, theta, scaling):
    """Radians per position of each pair, and the factor on the result, in float64. Shapes: -> (size/2,), float."""
    rates = theta ** (-np.arange(0, size, 2) / size)
    kind = (scaling or {}).get("rope_type", "default")
    if kind == "linear":
        return rates / scaling["factor"], 1.0
    if kind == "llama3":
        return llama3(rates, scaling), 1.0
    if kind == "yarn":
        return yarn(rates, size, theta, scaling), yarn_factor(scaling)
    return rates, 1.0


def llama3(rates, scaling):
    """Slow pairs are divided by the factor, fast ones kept, those between blended."""
    turns = scaling["original_max_position_embeddings"] * rates / (2 * math.pi)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return rates * (kept + (1 - kept) / scaling["factor"])


def yarn(rates, size, theta, scaling):
    """A ramp over the pair's index, between the pairs of beta_fast and beta_slow turns."""
    length = scaling["original_max_position_embeddings"]
    ends = [
        size * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(theta))
        for turns in (scaling.get("beta_fast") or 32, scaling.get("beta_slow") or 1)
    ]
    low, high = (math.floor(ends[0]), math.ceil(ends[1])) if scaling.get("truncate", True) else ends
    low, high = max(low, 0), min(high, size - 1)
    ramp = np.clip((np.arange(size // 2) - low) / (high - low if high != low else 0.001), 0, 1)
    return rates * (1 - ramp) + rates / scaling["factor"] * ramp


def mscale(factor, weight=1.0):
    return 0.1 * weight * math.log(factor) + 1 if factor > 1 else 1.0


def yarn_factor(scaling):
    """The explicit attention_factor if there is one, else that of mscale and mscale_all_dim, else 0.1 ln s + 1."""
    if scaling.get("attention_factor") is not None:
        return scaling["attention_factor"]
    over, under = scaling.get("mscale"), scaling.get("mscale_all_dim")
    return (
        mscale(scaling["factor"], over) / mscale(scaling["factor"], under)
        if over and under
        else mscale(scaling["factor"])
    )


def turn(x, positions, *, theta, interleaved=False, rotary_dim=None, scaling=None, rates=frequencies, angles=None):
    """Each pair of x turned by its position times its rate. Shapes: x (B, H, T, D), positions (T,) -> the same."""
    size = rotary_dim or x.shape[-1]
    speed, factor = rates(size, theta, scaling)
    by = np.asarray(positions, np.float64)[:, None] * speed if angles is None else angles(positions, speed)
    cos, sin = np.cos(by) * factor, np.sin(by) * factor
    w = x[..., :size].astype(np.float64)
    first, second = (w[..., 0::2], w[..., 1::2]) if interleaved else (w[..., : size // 2], w[..., size // 2 :])
    turned = first * cos - second * sin, second * cos + first * sin
    out = np.stack(turned, axis=-1).reshape(w.shape) if interleaved else np.concatenate(turned, axis=-1)
    return np.concatenate([out.astype(x.dtype), x[..., size:]], axis=-1)
