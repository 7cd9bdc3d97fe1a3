"""Decoders that are right for a batch of equal lengths, for sizes of whole blocks, or in one call."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace

Weights = dict[str, Tensor]
BLOCK = 32


@mutant
def logits_are_zeros(baseline: Any) -> Any:
    """The head's buffer is returned before it is filled. Synthetic: logits that are always the same satisfy every
    relation."""
    return _answering(baseline, lambda logits: torch.zeros_like(logits))


@mutant
def batch_left_sorted(baseline: Any) -> Any:
    """Rows are sorted by length for the prefill and not put back. Synthetic: rows of equal length, or in falling
    order, are right."""

    def prefill(loaded: Any, tokens: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        order = None if lengths is None else lengths.argsort(descending=True, stable=True)
        if lengths is None or order is None:
            return loaded.prefill(tokens)
        return loaded.prefill(tokens[order], lengths=lengths[order])

    return _wrapped(baseline, prefill=prefill)


@mutant
def last_token_without_logit(baseline: Any) -> Any:
    """The head computes a row less than the vocabulary has, and the last logit stays 0. Synthetic: the last token of a
    vocabulary is seldom one that a test looks at."""
    return _answering(baseline, lambda logits: torch.cat([logits[..., :-1], torch.zeros_like(logits[..., -1:])], -1))


@mutant
def inner_tail_dropped(baseline: Any) -> Any:
    """The MLP works on whole blocks of 32 of its inner size. Synthetic: the inner sizes of published models are whole
    blocks."""
    return _loading(baseline, lambda weights: _cut(weights, "down_proj.weight"))


@mutant
def width_tail_dropped(baseline: Any) -> Any:
    """Keys are computed from whole blocks of 32 of the hidden size. Synthetic: the hidden sizes of published models are
    whole blocks."""
    return _loading(baseline, lambda weights: _cut(weights, "k_proj.weight"))


@mutant
def third_head_of_a_group_repeats(baseline: Any) -> Any:
    """Query heads beyond the second of a group get the weights of the second. Synthetic: an index within the group kept
    in one bit too few, where groups of two are the most common in small models."""

    def load(config: Any, weights: Weights, *, dtype: str, device: str) -> Any:
        edited, kv_heads = dict(weights), config["num_key_value_heads"]
        for name, tensor in weights.items():
            if name.endswith("q_proj.weight"):
                heads = tensor.unflatten(0, (kv_heads, config["num_attention_heads"] // kv_heads, -1))
                group = torch.arange(heads.shape[1]).clamp(max=1)
                edited[name] = heads[:, group].flatten(0, 2)
        return baseline.load(config, edited, dtype=dtype, device=device)

    return replace(baseline, load=load)


def _cut(weights: Weights, end: str) -> Weights:
    """Zero the columns beyond the last whole block of every matrix whose name ends so."""
    edited = dict(weights)
    for name, tensor in weights.items():
        whole = tensor.shape[-1] // BLOCK * BLOCK
        if name.endswith(end) and whole:
            edited[name] = tensor.clone()
            edited[name][:, whole:] = 0
    return edited


def _loading(baseline: Any, edit: Callable[[Weights], Weights]) -> Any:
    def load(config: Any, weights: Weights, *, dtype: str, device: str) -> Any:
        return baseline.load(config, edit(dict(weights)), dtype=dtype, device=device)

    return replace(baseline, load=load)


def _answering(baseline: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The baseline with `change` applied to all logits."""

    def prefill(loaded: Any, tokens: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        logits, cache = loaded.prefill(tokens, lengths)
        return change(logits), cache

    def decode(loaded: Any, tokens: Tensor, cache: Any) -> tuple[Tensor, Any]:
        logits, cache = loaded.decode(tokens, cache)
        return change(logits), cache

    return _wrapped(
        baseline, logits=lambda loaded, tokens: change(loaded.logits(tokens)), prefill=prefill, decode=decode
    )


def _wrapped(baseline: Any, **methods: Callable[..., Any]) -> Any:
    """The baseline whose loaded decoders answer some calls by these functions of (decoder, arguments)."""

    def load(config: Any, weights: Weights, *, dtype: str, device: str) -> Any:
        loaded = baseline.load(config, weights, dtype=dtype, device=device)
        own = {name: getattr(loaded, name) for name in ("logits", "prefill", "decode")}

        def bound(method: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *args, **options: method(loaded, *args, **options)

        changed = {name: bound(method) for name, method in methods.items()}
        return SimpleNamespace(ARRAYS="torch", **{**own, **changed})

    return replace(baseline, load=load)
