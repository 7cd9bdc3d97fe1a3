"""A short causal convolution along time, separate for each channel."""

from __future__ import annotations

from typing import Any

import numpy as np


def causal_conv_forward(
    x: np.ndarray, weight: np.ndarray, history: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, tuple[Any, ...]]:
    """out[t] = sum over j of weight[:, j] x[t - K + 1 + j]; `history` holds the inputs before the first, zeros if None.

    Shapes: x (B, T, C), weight (C, K), history (B, C, K - 1) -> out (B, T, C), the next history, cache.
    Raises: ValueError if the shapes do not fit.
    Source: causal_conv1d of arXiv:2312.00752's code; torch.nn.functional.conv1d with groups = C and left padding.
    """
    batch, length, channels = x.shape
    taps = weight.shape[-1]
    if history is None:
        history = np.zeros((batch, channels, taps - 1))
    if weight.shape != (channels, taps) or history.shape != (batch, channels, taps - 1):
        raise ValueError(
            f"causal_conv: found x {x.shape}, weight {weight.shape} and history {history.shape}, "
            f"expected weight ({channels}, K) and history ({batch}, {channels}, K - 1)"
        )
    whole = np.concatenate([history.transpose(0, 2, 1), x], axis=1)
    out = sum((whole[:, j : j + length] * weight[:, j] for j in range(taps)), start=np.zeros(1))
    return np.asarray(out), whole[:, length:].transpose(0, 2, 1), (whole, weight, length)


def causal_conv_backward(
    dout: np.ndarray, cache: tuple[Any, ...], dhistory: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum into each input the gradients of the outputs that read it, at most K; `dhistory` brings the next call's.

    Shapes: dout (B, T, C), dhistory of the history returned -> dx (B, T, C), dweight (C, K), dhistory (B, C, K - 1).
    """
    whole, weight, length = cache
    taps = weight.shape[-1]
    dwhole = np.zeros_like(whole)
    if dhistory is not None:
        dwhole[:, length:] += dhistory.transpose(0, 2, 1)
    for j in range(taps):
        dwhole[:, j : j + length] += dout * weight[:, j]
    dweight = np.stack([(dout * whole[:, j : j + length]).sum(axis=(0, 1)) for j in range(taps)], axis=-1)
    return dwhole[:, taps - 1 :], dweight, dwhole[:, : taps - 1].transpose(0, 2, 1)
