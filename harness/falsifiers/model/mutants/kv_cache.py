"""Known-wrong KV caches: the baseline with what it does at each step, or keeps between steps, changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace

Step = Callable[[Tensor, Any, Tensor, Tensor], Tensor]
Edit = Callable[[int, Any, Tensor, Tensor], tuple[Tensor, Tensor]]


@mutant
def position_off_by_one(baseline: Any) -> Any:
    """Decoded tokens are rotated one position early (K1: huggingface/transformers#47597)."""
    return _input(baseline, lambda n, loaded, mask, at: (mask, at if n == mask.shape[1] else (at - 1).clamp_min(0)))


@mutant
def positions_restart(baseline: Any) -> Any:
    """Positions count from 0 again in every chunk after the first (K1; system D5, position offset)."""
    return _input(baseline, lambda n, loaded, mask, at: (mask, torch.arange(n, device=at.device).expand_as(at)))


@mutant
def rope_table_wraps(baseline: Any) -> Any:
    """The RoPE table has 2,048 rows, and later positions read some row of it
    (pegainfer-project/pegainfer#220, with 4,096 rows)."""
    return _input(baseline, lambda n, loaded, mask, at: (mask, at % 2048))


@mutant
def positions_in_int16(baseline: Any) -> Any:
    """Positions are kept in int16, and negative from 32,768 on. Synthetic: indices of sixteen bits halve a kernel's
    traffic, and no model of 32,768 positions shows it."""
    return _input(baseline, lambda n, loaded, mask, at: (mask, at.to(torch.int16).to(at.dtype)))


@mutant
def ring_of_32768(baseline: Any) -> Any:
    """The cache has 32,768 slots, and a longer text overwrites its first ones.
    Synthetic: a ring is right for a model whose window is no longer."""

    def edit(n: int, loaded: Any, mask: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        slots = torch.arange(mask.shape[1], device=mask.device)
        return mask * (slots >= mask.shape[1] - 32768), at

    return _input(baseline, edit)


@mutant
def one_position_for_all_rows(baseline: Any) -> Any:
    """Prefill shifts positions by the padding, decode goes on from the padded length (A9: unslothai/unsloth#4078)."""

    def edit(n: int, loaded: Any, mask: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        slots = torch.arange(mask.shape[1], device=at.device)
        return mask, at if n == mask.shape[1] else slots[-n:].expand_as(at)

    return _input(baseline, edit)


@mutant
def pad_mask_dropped(baseline: Any) -> Any:
    """Padding is attended to and positions are not shifted (A9: unslothai/unsloth#4078)."""

    def edit(n: int, loaded: Any, mask: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(mask), torch.arange(mask.shape[1], device=at.device)[-n:].expand_as(at)

    return _input(baseline, edit)


@mutant
def left_sorted_by_length(baseline: Any) -> Any:
    """A padded batch is sorted by length, longest first, and its answers stay in that order
    (neulab/xnmt#424, mead-ml/mead-baseline#677)."""

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        loaded = baseline.load(config, weights, dtype=dtype, device=device)
        prefill = loaded.prefill

        def prefilled(tokens: Tensor, lengths: Tensor | None = None) -> Any:
            if lengths is None:
                return prefill(tokens)
            order = torch.as_tensor(lengths).argsort(descending=True, stable=True).to(tokens.device)
            return prefill(tokens[order], lengths=lengths[order])

        loaded.prefill = prefilled
        return loaded

    return replace(baseline, load=load)


@mutant
def mask_top_left(baseline: Any) -> Any:
    """With more keys than queries the causal mask starts at key 0 (onnx/onnx#8068, pytorch/executorch#21749)."""
    return _input(baseline, lambda n, loaded, mask, at: (_band(loaded, mask, n, 0), at))


@mutant
def chunk_sees_its_future(baseline: Any) -> Any:
    """A chunk behind cached tokens gets no causal mask, right for one token only
    (A4: huggingface/transformers#48748)."""

    def edit(n: int, loaded: Any, mask: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        return mask if n == mask.shape[1] else _band(loaded, mask, n, mask.shape[1]), at

    return _input(baseline, edit)


@mutant
def wrong_slot(baseline: Any) -> Any:
    """New keys and values land one slot early, on top of the token before (system D5, decode)."""

    def edit(layer: Any, old: int, loaded: Any) -> None:
        if old:
            for kept in (layer.keys, layer.values):
                kept[:, :, old - 1 : -1] = kept[:, :, old:].clone()

    return _kept(baseline, edit)


@mutant
def last_token_dropped(baseline: Any) -> Any:
    """The last token of a call is never written, its slot stays zero (system D5, decode)."""

    def edit(layer: Any, old: int, loaded: Any) -> None:
        for kept in (layer.keys, layer.values):
            kept[:, :, -1] = 0

    return _kept(baseline, edit)


@mutant
def values_overwritten_by_keys(baseline: Any) -> Any:
    """Both halves of the cache share one buffer, keys written last (system D5, decode)."""

    def edit(layer: Any, old: int, loaded: Any) -> None:
        layer.values = layer.keys.clone()

    return _kept(baseline, edit)


@mutant
def kept_in_bfloat16(baseline: Any) -> Any:
    """The cache is bfloat16 in a run of a wider dtype (system D5, KV dtype)."""

    def edit(layer: Any, old: int, loaded: Any) -> None:
        if layer.keys.dtype not in (torch.float32, torch.float64):
            raise Inapplicable(f"a {layer.keys.dtype} cache is no wider than bfloat16")
        layer.keys, layer.values = (kept.bfloat16().to(kept.dtype) for kept in (layer.keys, layer.values))

    return _kept(baseline, edit)


@mutant
def rope_twice(baseline: Any) -> Any:
    """Keys are rotated once before they are used and once more before they are kept (system D5, RoPE)."""

    def edit(layer: Any, old: int, loaded: Any) -> None:
        new = layer.keys[:, :, old:]
        cos, sin = loaded.model.model.rotary_emb(new, torch.arange(old, layer.keys.shape[2], device=new.device)[None])
        first, second = new.chunk(2, dim=-1)
        turned = new * cos[:, None] + torch.cat([-second, first], dim=-1) * sin[:, None]
        layer.keys[:, :, old:] = turned.to(new.dtype)

    return _kept(baseline, edit)


@mutant
def previous_request_kept(baseline: Any) -> Any:
    """Buffers are not cleared: a longer request's last slots stay visible behind the next prompt
    (K5: vllm-project/vllm#56524)."""

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        loaded = baseline.load(config, weights, dtype=dtype, device=device)
        prefill, decode = loaded.prefill, loaded.decode
        left: list[tuple[Tensor, Tensor]] = []

        def prefilled(tokens: Tensor, **given: Any) -> Any:
            logits, cache = prefill(tokens, **given)
            if left and left[0][0].shape[0] != tokens.shape[0]:
                raise Inapplicable("buffers of another batch are made anew")
            stale = left[0][0].shape[2] - tokens.shape[1] if left else 0
            if stale > 0:
                for layer, (keys, values) in zip(cache.kv.layers, left, strict=True):
                    layer.keys = torch.cat([layer.keys, keys[:, :, -stale:]], dim=2)
                    layer.values = torch.cat([layer.values, values[:, :, -stale:]], dim=2)
                cache.real = torch.cat([cache.real, cache.real.new_ones(len(tokens), stale)], dim=1)
            return keep(logits, cache)

        def keep(logits: Tensor, cache: Any) -> Any:
            left[:] = [(layer.keys, layer.values) for layer in cache.kv.layers]
            return logits, cache

        loaded.prefill = prefilled
        loaded.decode = lambda tokens, cache: keep(*decode(tokens, cache))
        return loaded

    return replace(baseline, load=load)


@mutant
def one_cache_for_all(baseline: Any) -> Any:
    """A model has one cache: a second request's prefill replaces the first one's (K5: vllm-project/vllm#56524)."""

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        loaded = baseline.load(config, weights, dtype=dtype, device=device)
        prefill, decode = loaded.prefill, loaded.decode
        static: list[Any] = [None]

        def prefilled(tokens: Tensor, **given: Any) -> Any:
            logits, static[0] = prefill(tokens, **given)
            return logits, static[0]

        def decoded(tokens: Tensor, cache: Any) -> Any:
            if len(static[0].real) != len(tokens):
                raise Inapplicable("requests of two batch sizes cannot share one cache")
            return decode(tokens, static[0])

        loaded.prefill, loaded.decode = prefilled, decoded
        return loaded

    return replace(baseline, load=load)


def _input(baseline: Any, edit: Edit) -> Any:
    """The baseline with mask and positions of every step passed through edit(new tokens, loaded, mask, positions)."""

    def wrap(loaded: Any, step: Step) -> Step:
        def edited(tokens: Tensor, kv: Any, mask: Tensor, positions: Tensor) -> Tensor:
            return step(tokens, kv, *edit(tokens.shape[1], loaded, mask, positions))

        return edited

    return _stepping(baseline, wrap)


def _kept(baseline: Any, edit: Callable[[Any, int, Any], None]) -> Any:
    """The baseline with every layer's cache passed through edit(layer, slots before, loaded) after each step."""

    def wrap(loaded: Any, step: Step) -> Step:
        def edited(tokens: Tensor, kv: Any, mask: Tensor, positions: Tensor) -> Tensor:
            logits = step(tokens, kv, mask, positions)
            for layer in kv.layers:
                edit(layer, layer.keys.shape[2] - tokens.shape[1], loaded)
            return logits

        return edited

    return _stepping(baseline, wrap)


def _stepping(baseline: Any, wrap: Callable[[Any, Step], Step]) -> Any:
    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        loaded = baseline.load(config, weights, dtype=dtype, device=device)
        loaded.step = wrap(loaded, loaded.step)
        return loaded

    return replace(baseline, load=load)


def _band(loaded: Any, mask: Tensor, queries: int, offset: int) -> Tensor:
    """Additive mask (B, 1, n, S) under which query t sees the keys j <= t + offset that are real."""
    slots = torch.arange(mask.shape[1], device=mask.device)
    visible = (slots <= slots[:queries, None] + offset) & mask[:, None, :].bool()
    dtype = loaded.model.dtype
    nothing = torch.zeros(visible.shape, dtype=dtype, device=mask.device)
    return nothing.masked_fill(~visible, torch.finfo(dtype).min)[:, None]
