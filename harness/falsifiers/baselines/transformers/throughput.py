"""Tokens per second of transformers' decoder with its own cache, without the warm-up run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median
from typing import Any

import torch

from harness.falsifiers.baselines.transformers.decoder import ARRAYS, load

__all__ = ["ARRAYS", "load", "medians", "throughput"]


def throughput(
    config: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    tokens: torch.Tensor,
    new_tokens: int,
    *,
    repeats: int = 5,
    dtype: str,
    device: str,
) -> list[dict[str, float]]:
    """{prefill, decode, made} of each repeat. Shapes: tokens (1, T). Units: tokens per second.

    A device works behind the caller's back; reading one number waits until it has computed it.
    """
    model = load(config, weights, dtype=dtype, device=device)
    found = []
    for run in range(repeats + 1):
        began = time.perf_counter()
        logits, cache = model.prefill(tokens)
        logits[0, -1, 0].item()
        middle = time.perf_counter()
        for _ in range(new_tokens):
            logits, cache = model.decode(logits[:, -1:].argmax(dim=-1), cache)
        logits[0, -1, 0].item()
        done = time.perf_counter()
        if run:
            rates = {"prefill": tokens.shape[1] / (middle - began), "decode": new_tokens / (done - middle)}
            found.append({**rates, "made": float(new_tokens)})
    return found


def medians(
    config: Mapping[str, Any], weights: Mapping[str, Any], tokens: Any, new_tokens: int, repeats: int, device: str
) -> dict[str, float]:
    """The median prefill and decode of a model in float32. Shapes: weights and tokens (1, T) as NumPy arrays."""
    held = {name: torch.from_numpy(w) for name, w in weights.items()}
    there = torch.tensor(tokens, device=device)
    runs = throughput(config, held, there, new_tokens, repeats=repeats, dtype="float32", device=device)
    return {name: median(run[name] for run in runs) for name in ("prefill", "decode")}
