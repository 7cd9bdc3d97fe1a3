"""Rotary position embedding, rotate-half layout, in float64."""

from __future__ import annotations

import numpy as np

Cache = tuple[np.ndarray, np.ndarray]


def rope_forward(x: np.ndarray, positions: np.ndarray, *, theta: float) -> tuple[np.ndarray, Cache]:
    """Rotate the pair (x[i], x[i + D/2]) of each head by the angle position * theta**(-2i/D).

    Shapes: x (B, H, T, D), D even; positions (T,) -> out (B, H, T, D), cache (cos, sin), each (T, D/2).
    Units:  theta is the base of the wavelengths, angles are in radians.
    Raises: ValueError if D is odd or positions is not (T,).
    Source: arXiv:2104.09864, eq. 34; pairing of halves as transformers' `rotate_half`.
    """
    T, D = x.shape[-2:]
    if D % 2:
        raise ValueError(f"rope: found head dimension {D}, expected an even number")
    if np.shape(positions) != (T,):
        raise ValueError(f"rope: found positions of shape {np.shape(positions)}, expected ({T},) for x {x.shape}")
    frequencies = theta ** (-np.arange(0, D, 2, dtype=np.float64) / D)
    angles = np.asarray(positions, dtype=np.float64)[:, None] * frequencies
    cos, sin = np.cos(angles), np.sin(angles)
    first, second = x[..., : D // 2], x[..., D // 2 :]
    out = np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return out, (cos, sin)
