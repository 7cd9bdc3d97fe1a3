"""Rotary position embedding in float64: both layouts, partial rotation, and frequency scaling for long contexts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Cache = tuple[np.ndarray, np.ndarray]
Scaling = Mapping[str, Any]


def rope_forward(
    x: np.ndarray,
    positions: np.ndarray,
    *,
    theta: float,
    interleaved: bool = False,
    rotary_dim: int | None = None,
    scaling: Scaling | None = None,
) -> tuple[np.ndarray, Cache]:
    """Rotate pair i of each head by position * theta**(-2i/R) radians; dimensions from R = rotary_dim on pass through.

    Shapes: x (B, H, T, D); positions (T,), starting anywhere -> out (B, H, T, D), cache (cos, sin), each (T, R/2).
    Units:  theta is the base of the wavelengths, angles are in radians; pair i is (x[i], x[i + R/2]), or
            (x[2i], x[2i+1]) when interleaved; rotary_dim None is D.
    Raises: ValueError if R is odd or more than D, positions is not (T,), or the scaling is unknown or lacks a key.
    Source: arXiv:2104.09864, eq. 34; halves are paired as in transformers' `rotate_half`, neighbours as in GPT-J's
            `rotate_every_two`; dimensions from R on stay unrotated as in GPT-NeoX.
    """
    T, D = x.shape[-2:]
    R = D if rotary_dim is None else rotary_dim
    if R % 2 or not 0 < R <= D:
        what = "head dimension" if rotary_dim is None else "rotary_dim"
        raise ValueError(f"rope: found {what} {R}, expected an even number up to the head dimension {D}")
    if np.shape(positions) != (T,):
        raise ValueError(f"rope: found positions of shape {np.shape(positions)}, expected ({T},) for x {x.shape}")
    frequencies, attention_scaling = rope_frequencies(R, theta, scaling)
    angles = np.asarray(positions, dtype=np.float64)[:, None] * frequencies
    cos, sin = attention_scaling * np.cos(angles), attention_scaling * np.sin(angles)
    pairs = (slice(0, R, 2), slice(1, R, 2)) if interleaved else (slice(0, R // 2), slice(R // 2, R))
    first, second = x[..., pairs[0]], x[..., pairs[1]]
    out = np.array(x, dtype=np.result_type(x, cos))
    out[..., pairs[0]] = first * cos - second * sin
    out[..., pairs[1]] = second * cos + first * sin
    return out, (cos, sin)


def rope_backward(dout: np.ndarray, cache: Cache, *, interleaved: bool = False) -> np.ndarray:
    """Rotate each pair of dout back by the same angle; dimensions from R on pass through.

    Shapes: dout (B, H, T, D) -> dx (B, H, T, D); the positions have no gradient.
    Units:  cos and sin include the scaling's factor, as in the forward pass: this is the transpose, not the inverse.
    """
    cos, sin = cache
    R = 2 * cos.shape[-1]
    pairs = (slice(0, R, 2), slice(1, R, 2)) if interleaved else (slice(0, R // 2), slice(R // 2, R))
    first, second = dout[..., pairs[0]], dout[..., pairs[1]]
    dx = np.array(dout, dtype=np.result_type(dout, cos))
    dx[..., pairs[0]] = first * cos + second * sin
    dx[..., pairs[1]] = second * cos - first * sin
    return dx


def rope_frequencies(
    dim: int, theta: float, scaling: Scaling | None = None, *, length: int = 0, longest: int = 0
) -> tuple[np.ndarray, float]:
    """Radians per position for each rotated pair, and the factor that multiplies cos and sin.

    Shapes: -> (dim/2,), float.
    Units:  scaling is Hugging Face's `rope_parameters`: `rope_type` default, linear, dynamic, llama3, yarn, longrope or
            proportional, and its keys; its `rope_theta`, if present, must equal theta. length is the number of
            positions so far, longest the model's `max_position_embeddings` (dynamic; longrope, yarn without factor).
    Raises: ValueError on an unknown rope_type, a missing key, or a rope_theta that differs from theta.
    Source: transformers' ROPE_INIT_FUNCTIONS; see `linear`, `dynamic`, `llama3`, `yarn` and `longrope`.
    """
    if not dim or dim % 2:
        raise ValueError(f"rope: found dimension {dim}, expected an even number")
    frequencies = theta ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)
    kind = (scaling or {}).get("rope_type", "default")
    if scaling is None or kind == "default":
        return frequencies, 1.0
    if scaling.get("rope_theta", theta) != theta:
        raise ValueError(f"rope: found rope_theta {scaling['rope_theta']} in scaling beside theta {theta}")
    try:
        if kind == "linear":
            return linear(frequencies, scaling), 1.0
        if kind == "llama3":
            return llama3(frequencies, scaling), 1.0
        if kind == "dynamic":
            return dynamic(dim, theta, scaling, length, longest), 1.0
        if kind == "proportional":
            return proportional(frequencies, scaling), 1.0
        if kind in ("yarn", "longrope"):
            context = scaling["original_max_position_embeddings"]
            scaling = {**scaling, "factor": scaling.get("factor") or longest / context}
            if kind == "longrope":
                return longrope(frequencies, scaling, length), longrope_attention_factor(scaling)
            return yarn(frequencies, theta, scaling), yarn_attention_factor(scaling)
    except KeyError as missing:
        raise ValueError(f"rope: scaling {kind} lacks {missing}; found {', '.join(sorted(scaling))}") from None
    known = "default, linear, dynamic, llama3, yarn, longrope or proportional"
    raise ValueError(f"rope: found rope_type {kind!r}, expected {known}")


def dynamic(dim: int, theta: float, scaling: Scaling, length: int, longest: int) -> np.ndarray:
    """Past the longest trained context the base grows with the length, so that the slowest pair just fits.

    Shapes: -> (dim/2,). Units: all positions of a pass have the frequencies of its last one.
    Source: transformers' `_compute_dynamic_ntk_parameters`, after u/emozilla's dynamic NTK scaling.
    """
    factor = scaling["factor"]
    stretched = factor * max(length, longest) / longest - (factor - 1)
    return np.asarray((theta * stretched ** (dim / (dim - 2))) ** (-np.arange(0, dim, 2, dtype=np.float64) / dim))


def proportional(frequencies: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Turn the first `partial_rotary_factor` of the pairs at the wavelengths of the whole head, and no others.

    Shapes: (R/2,) -> (R/2,).
    Source: transformers' `_compute_proportional_rope_parameters`.
    """
    turning = np.arange(frequencies.size) < int(scaling.get("partial_rotary_factor", 1.0) * frequencies.size)
    return np.asarray(np.where(turning, frequencies, 0.0) / scaling.get("factor", 1.0))


def longrope(frequencies: np.ndarray, scaling: Scaling, length: int) -> np.ndarray:
    """Divide each pair's frequency by its own factor: `long_factor` past the original context, else `short_factor`.

    Shapes: (R/2,) -> (R/2,). Units: all positions of a pass have the frequencies of its last one.
    Source: arXiv:2402.13753; transformers' `_compute_longrope_parameters`.
    """
    far = length > scaling["original_max_position_embeddings"]
    return np.asarray(frequencies / np.asarray(scaling["long_factor" if far else "short_factor"], np.float64))


def longrope_attention_factor(scaling: Scaling) -> float:
    """`attention_factor` if given, else sqrt(1 + ln(factor) / ln(original context)). Source: arXiv:2402.13753."""
    if scaling.get("attention_factor") is not None:
        return float(scaling["attention_factor"])
    factor = scaling["factor"]
    return (
        math.sqrt(1 + math.log(factor) / math.log(scaling["original_max_position_embeddings"])) if factor > 1 else 1.0
    )


def linear(frequencies: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Position interpolation: divide every frequency by `factor`.

    Shapes: (R/2,) -> (R/2,).
    Source: arXiv:2306.15595.
    """
    return np.asarray(frequencies / scaling["factor"])


def llama3(frequencies: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Divide the frequency by `factor` if the wavelength exceeds the original context / low_freq_factor; keep it if the
    wavelength is below the original context / high_freq_factor; between, mix both linearly in turns per context.

    Shapes: (R/2,) -> (R/2,).
    Source: Llama 3.1's reference code, `apply_scaling`; transformers' `_compute_llama3_parameters`.
    """
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = scaling["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return np.asarray((1 - kept) * frequencies / scaling["factor"] + kept * frequencies)


def yarn(frequencies: np.ndarray, theta: float, scaling: Scaling) -> np.ndarray:
    """Keep the frequency of a pair that turns more than beta_fast times in the original context; divide it by `factor`
    if the pair turns less than beta_slow times; between, mix both linearly in the pair's index.

    Shapes: (R/2,) -> (R/2,).
    Units:  the ends of the ramp are rounded outwards to whole pairs unless `truncate` is False.
    Source: arXiv:2309.00071, section 3.2; transformers' `_compute_yarn_parameters`.
    """
    dim = 2 * frequencies.size
    context = scaling["original_max_position_embeddings"]
    fast, slow = scaling.get("beta_fast") or 32, scaling.get("beta_slow") or 1
    low, high = (dim * math.log(context / (turns * 2 * math.pi)) / (2 * math.log(theta)) for turns in (fast, slow))
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    width = high - low or 0.001
    interpolated = np.clip((np.arange(dim // 2) - low) / width, 0, 1)
    return np.asarray(interpolated * frequencies / scaling["factor"] + (1 - interpolated) * frequencies)


def yarn_attention_factor(scaling: Scaling) -> float:
    """The factor that multiplies cos and sin: `attention_factor` if given, else 0.1 * ln(factor) + 1.

    If mscale and mscale_all_dim are both given, it is
    (0.1 * mscale * ln(factor) + 1) / (0.1 * mscale_all_dim * ln(factor) + 1).
    Source: arXiv:2309.00071, eq. 22; mscale as DeepSeek-V2's `yarn_get_mscale`.
    """
    if scaling.get("attention_factor") is not None:
        return float(scaling["attention_factor"])
    factor = scaling["factor"]
    growth = 0.1 * math.log(factor) if factor > 1 else 0.0
    over, under = scaling.get("mscale"), scaling.get("mscale_all_dim")
    return (over * growth + 1) / (under * growth + 1) if over and under else growth + 1
