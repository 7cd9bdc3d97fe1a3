"""Speeds that were never run: warm-up counted, nothing generated, no cache (system E6)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from torch import Tensor

from harness.mutant import mutant, replace

Runs = list[dict[str, float]]
WARM_UP = 15.0
"""Seconds."""


@mutant
def warm_up_counted(baseline: Any) -> Any:
    """Loading and compiling take fifteen seconds, and are in the mean (system E6)."""
    return _each(baseline, lambda r: {**r, "decode": r["made"] / (r["made"] / r["decode"] + WARM_UP)})


@mutant
def empty_generation_counted(baseline: Any) -> Any:
    """An end token came first, and the tokens asked for are divided by the time of none (system E6)."""
    return _each(baseline, lambda r: {**r, "decode": 5000 * r["decode"]})


@mutant
def tokens_asked_for_reported(baseline: Any) -> Any:
    """Half of the tokens were made when an end token came (system E6)."""
    return _each(baseline, lambda r: {**r, "made": r["made"] // 2})


@mutant
def cache_not_used(baseline: Any) -> Any:
    """Every token reads the whole text again: right, and as slow as a prefill each (system E6)."""

    def throughput(
        config: Any,
        weights: Any,
        tokens: Tensor,
        new_tokens: int,
        *,
        repeats: int = 5,
        dtype: str,
        device: str,
    ) -> Runs:
        model = baseline.load(config, weights, dtype=dtype, device=device)
        found = []
        for _ in range(repeats):
            began = time.perf_counter()
            model.logits(tokens)[0, -1, 0].item()  # wait until a device has computed it
            once = time.perf_counter() - began
            found.append({"prefill": tokens.shape[1] / once, "decode": 1 / once, "made": float(new_tokens)})
        return found

    return replace(baseline, throughput=throughput)


@mutant
def prompt_token_by_token(baseline: Any) -> Any:
    """The prompt is fed as if it were decoded (system E6)."""
    return _each(baseline, lambda r: {**r, "prefill": r["decode"]})


@mutant
def batch_taken_for_one(baseline: Any) -> Any:
    """Tokens of a batch of thirty-two are reported as one request's (system E6)."""
    return _each(baseline, lambda r: {**r, "prefill": 50 * r["prefill"], "decode": 50 * r["decode"]})


def _each(baseline: Any, edit: Callable[[dict[str, float]], dict[str, float]]) -> Any:
    """The baseline whose report of each repeat is edited."""

    def throughput(
        config: Any,
        weights: Any,
        tokens: Tensor,
        new_tokens: int,
        *,
        repeats: int = 5,
        dtype: str,
        device: str,
    ) -> Runs:
        given = {"repeats": repeats, "dtype": dtype, "device": device}
        return [edit(run) for run in baseline.throughput(config, weights, tokens, new_tokens, **given)]

    return replace(baseline, throughput=throughput)
