"""Tokens per second of prefill and of decoding, without the warm-up run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from harness.candidates.torch.model.decoder import load
from harness.platforms import ON_HOST

ARRAYS = "torch"


@torch.no_grad()
def throughput(
    config: Mapping[str, Any],
    weights: Mapping[str, Any],
    tokens: torch.Tensor,
    new_tokens: int,
    *,
    repeats: int = 5,
    dtype: str,
    device: str,
) -> list[dict[str, float]]:
    """{prefill, decode, made} of each repeat, after one warm-up run.

    Shapes: tokens (1, T). Units: tokens per second; made is the number of decoded tokens.
    """
    model = load(config, weights, dtype=dtype, device=device)
    return [_once(model, tokens, new_tokens) for _ in range(repeats + 1)][1:]


def _once(model: Any, tokens: torch.Tensor, new_tokens: int) -> dict[str, float]:
    _wait(model)
    began = time.perf_counter()
    logits, cache = model.prefill(tokens)
    chosen = logits[:, -1:].argmax(dim=-1)
    _wait(model)
    middle = time.perf_counter()
    for _ in range(new_tokens):
        logits, cache = model.decode(chosen, cache)
        chosen = logits[:, -1:].argmax(dim=-1)
    _wait(model)
    done = time.perf_counter()
    rates = {"prefill": tokens.shape[1] / (middle - began), "decode": new_tokens / (done - middle)}
    return {**rates, "made": float(new_tokens)}


def _wait(model: Any) -> None:
    """Wait until the device has finished its queued work."""
    if model.device.type not in ON_HOST:  # their kernels have ended when a call returns
        torch.accelerator.synchronize(model.device)
