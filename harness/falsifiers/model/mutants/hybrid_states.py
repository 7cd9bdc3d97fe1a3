"""Known-wrong mixed models between calls: states lost, kept too long, or in too few digits (system B2; K5, A9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace

Weights = dict[str, Tensor]


@mutant
def states_of_the_last_request(baseline: Any) -> Any:
    """A prefill begins from the delta-net states that the last request left (K5: vllm-project/vllm#56524)."""
    return _between(baseline, _leave_states)


@mutant
def one_cache_for_all(baseline: Any) -> Any:
    """A model has one cache: a second request's prefill replaces the first one's (K5: vllm-project/vllm#56524)."""
    return _between(baseline, _one_cache)


@mutant
def conv_history_dropped(baseline: Any) -> Any:
    """The convolution's last inputs are not kept between calls (system B2)."""
    return _between(baseline, lambda loaded: _editing(loaded, lambda layer: _zero(layer.conv_states)))


@mutant
def state_dropped(baseline: Any) -> Any:
    """The delta-net state is not kept between calls (system B2)."""
    return _between(baseline, lambda loaded: _editing(loaded, lambda layer: _zero(layer.recurrent_states)))


@mutant
def state_kept_in_bfloat16(baseline: Any) -> Any:
    """The delta-net state is rounded to bfloat16 between calls, with float32 weights (system B2)."""

    def narrow(layer: Any) -> None:
        for i, state in layer.recurrent_states.items():
            if state.dtype == torch.bfloat16:
                raise Inapplicable("a bfloat16 state loses nothing there")
            layer.recurrent_states[i] = state.bfloat16().to(state.dtype)

    return _between(baseline, lambda loaded: _editing(loaded, narrow))


@mutant
def padding_taken_for_tokens(baseline: Any) -> Any:
    """The mask does not reach the model: padding is attended to, and written into the states (system B2; A9)."""

    def whole(loaded: Any) -> None:
        step = loaded.step

        def stepped(tokens: Tensor, kept: Any, real: Tensor) -> Any:
            return step(tokens, kept, torch.ones_like(real))

        loaded.step = stepped

    return _between(baseline, whole)


def _leave_states(loaded: Any) -> None:
    prefill, left = loaded.prefill, dict[str, Any]()

    def prefilled(tokens: Tensor, lengths: Tensor | None = None) -> Any:
        logits, cache = prefill(tokens) if lengths is None else prefill(tokens, lengths)
        if "cache" in left and left["rows"] == len(tokens):
            # The prompt again, behind the states of the request before, as a slot that nobody cleared has them.
            kept, _ = left["cache"]
            fresh, _ = cache
            for old, new in zip(kept.layers, fresh.layers, strict=True):
                if hasattr(new, "recurrent_states"):
                    for i in new.recurrent_states:
                        new.recurrent_states[i] = new.recurrent_states[i] + old.recurrent_states[i]
        left.update(cache=cache, rows=len(tokens))
        return logits, cache

    loaded.prefill = prefilled


def _one_cache(loaded: Any) -> None:
    prefill, decode = loaded.prefill, loaded.decode
    static: list[Any] = [None]

    def prefilled(tokens: Tensor, **given: Any) -> Any:
        logits, static[0] = prefill(tokens, **given)
        return logits, static[0]

    def decoded(tokens: Tensor, cache: Any) -> Any:
        logits, static[0] = decode(tokens, static[0])
        return logits, static[0]

    loaded.prefill, loaded.decode = prefilled, decoded


def _editing(loaded: Any, edit: Callable[[Any], None]) -> None:
    step = loaded.step

    def stepped(tokens: Tensor, kept: Any, real: Tensor) -> Any:
        logits, (kept, real) = step(tokens, kept, real)
        for layer in kept.layers:
            if hasattr(layer, "recurrent_states"):
                edit(layer)
        return logits, (kept, real)

    loaded.step = stepped


def _zero(states: dict[int, Tensor]) -> None:
    states.update({i: torch.zeros_like(state) for i, state in states.items()})


def _between(baseline: Any, edit: Callable[[Any], None]) -> Any:
    def load(config: Any, weights: Weights, *, dtype: str, device: str) -> Any:
        loaded = baseline.load(config, weights, dtype=dtype, device=device)
        edit(loaded)
        return loaded

    return replace(baseline, load=load)
