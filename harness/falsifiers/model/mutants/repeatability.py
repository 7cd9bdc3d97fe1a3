"""Decoders whose answer depends on the call before it, on the call beside it, or on chance."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace

PARTS = 4
Edit = Callable[[Tensor], Tensor]


@mutant
def shared_scratch_buffer(baseline: Any) -> Any:
    """Staging buffers kept by shape, not by stream: the other stream writes before this one reads
    (flashinfer-ai/flashinfer#4476)."""
    buffers: dict[Any, Tensor] = {}

    def through(out: Tensor) -> Tensor:
        buffer = buffers.setdefault((out.shape, out.dtype), torch.zeros_like(out))
        return buffer.copy_(out).clone()

    return _editing(baseline, out=through)


@mutant
def static_input_shared(baseline: Any) -> Any:
    """One buffer of arguments for all streams, filled again while the first call reads it
    (Genesis-Embodied-AI/quadrants#649)."""
    inputs: dict[Any, Tensor] = {}

    def through(tokens: Tensor) -> Tensor:
        return inputs.setdefault(tokens.shape, torch.zeros_like(tokens)).copy_(tokens)

    return _editing(baseline, tokens=through)


@mutant
def generator_without_seed(baseline: Any) -> Any:
    """Rounding by chance, from the system's entropy. Synthetic: a generator of one's own is easily left unseeded."""

    def rounded(out: Tensor) -> Tensor:
        generator = torch.Generator()
        generator.seed()
        noise = torch.rand(out.shape, generator=generator).to(out)
        return out * (1 + (noise - 0.5) * torch.finfo(out.dtype).eps * 2)

    return _editing(baseline, out=rounded)


@mutant
def dropout_left_on(baseline: Any) -> Any:
    """Dropout in inference. Synthetic: the call that ends training mode is a line of its own, easily forgotten."""
    return _editing(baseline, out=lambda out: torch.nn.functional.dropout(out, 0.1))


@mutant
def order_of_arrival(baseline: Any) -> Any:
    """Parts of the last product are added in the order in which they arrive: split-K by atomics, not declared
    (microsoft/onnxruntime#27003)."""
    return _split_head(baseline, lambda call: [(call + i) % PARTS for i in range(PARTS)])


@mutant
def atomics_lose_a_part(baseline: Any) -> Any:
    """Atomics are declared, but the adding itself races, and every second call loses a part
    (pegainfer-project/pegainfer#410)."""
    wrong = _split_head(baseline, lambda call: list(range(PARTS - call % 2)))
    return replace(wrong, ATOMICS=True)


@mutant
def stale_output_buffer(baseline: Any) -> Any:
    """The last row of the output is not written: it is the previous call's (tgale96/grouped_gemm#36)."""
    kept: dict[Any, Tensor] = {}

    def stale(out: Tensor) -> Tensor:
        before = kept.get((out.shape, out.dtype), out)
        kept[out.shape, out.dtype] = out
        return torch.cat([out[:, :-1], before[:, -1:]], dim=1)

    return _editing(baseline, out=stale)


def _editing(baseline: Any, out: Edit = lambda x: x, tokens: Edit = lambda x: x) -> Any:
    """The baseline whose loaded models pass each call's tokens and logits through these functions."""

    def load(*args: Any, **kwargs: Any) -> Any:
        model = baseline.load(*args, **kwargs)

        def prefill(given: Tensor) -> Any:
            logits, cache = model.prefill(tokens(given))
            return out(logits), cache

        def decode(given: Tensor, cache: Any) -> Any:
            logits, cache = model.decode(tokens(given), cache)
            return out(logits), cache

        return SimpleNamespace(logits=lambda given: out(model.logits(tokens(given))), prefill=prefill, decode=decode)

    return replace(baseline, load=_named(load))


def _split_head(baseline: Any, order: Callable[[int], list[int]]) -> Any:
    """The baseline whose last product is a sum of parts of the inner axis, in an order that the call's number gives."""
    calls = itertools.count()

    def load(*args: Any, **kwargs: Any) -> Any:
        model = baseline.load(*args, **kwargs)
        head = model.model.lm_head

        def forward(x: Tensor) -> Tensor:
            parts = list(zip(x.tensor_split(PARTS, dim=-1), head.weight.tensor_split(PARTS, dim=-1), strict=True))
            chosen = [torch.nn.functional.linear(*parts[i]) for i in order(next(calls))]
            return functools.reduce(torch.add, chosen)

        head.forward = forward
        return model

    return replace(baseline, load=_named(load))


def _named(load: Callable[..., Any]) -> Callable[..., Any]:
    """`load` with the parameters that the boundary fills in by name."""

    def named(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        return load(config, weights, dtype=dtype, device=device)

    return named
