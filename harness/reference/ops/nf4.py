"""NF4, the 4-bit normal-float format of QLoRA: sixteen values, one scale per block of 64."""

from __future__ import annotations

import numpy as np

BLOCK = 64
CODE = np.array(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ]
)
"""Quantiles of the standard normal, scaled to [-1, 1]; one of them is exactly zero (arXiv:2305.14314, appendix E)."""


def nf4_absmax(weight: np.ndarray) -> np.ndarray:
    """The largest magnitude of each block of 64 elements in row-major order; the last block may be short.

    Shapes: weight (R, C) -> (ceil(R*C / 64),).
    """
    flat = np.abs(np.asarray(weight, np.float64)).ravel()
    return np.array([flat[start : start + BLOCK].max() for start in range(0, flat.size, BLOCK)])


def nf4_quantise(weight: np.ndarray, absmax: np.ndarray) -> np.ndarray:
    """Nearest code of each element divided by its block's absmax; a byte holds two, the first in its high four bits.

    Shapes: weight (R, C) with R*C even, absmax (ceil(R*C / 64),) -> (R*C / 2,) uint8.
    Raises: ValueError if the number of elements is odd or absmax has another length.
    Source: arXiv:2305.14314; byte order as bitsandbytes' kQuantizeBlockwise.
    """
    flat = np.asarray(weight, np.float64).ravel()
    if flat.size % 2 or np.shape(absmax) != (-(-flat.size // BLOCK),):
        raise ValueError(f"nf4: found {flat.size} elements and absmax {np.shape(absmax)}, expected even, one per 64")
    scale = np.repeat(np.asarray(absmax, np.float64), BLOCK)[: flat.size]
    scaled = flat / np.where(scale > 0, scale, 1.0)
    codes = np.abs(scaled[:, None] - CODE).argmin(axis=1).astype(np.uint8)
    return codes[0::2] << 4 | codes[1::2]


def nf4_dequantise(packed: np.ndarray, absmax: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Decode the packed codes to float64 weights: CODE[code] * absmax of the block.

    Shapes: packed (R*C / 2,) uint8, absmax (ceil(R*C / 64),) -> shape (R, C).
    Source: arXiv:2305.14314, equation 5 without double quantisation.
    """
    codes = np.stack([packed >> 4, packed & 15], axis=1).ravel()
    scale = np.repeat(np.asarray(absmax, np.float64), BLOCK)[: codes.size]
    return (CODE[codes] * scale).reshape(shape)
