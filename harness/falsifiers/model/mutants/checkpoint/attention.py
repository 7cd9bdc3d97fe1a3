"""Attention declared wrongly: windows, caps, sinks, gates, norms, biases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from harness.falsifiers.model.mutants.checkpoint.flip import (
    attentions,
    attentions_of,
    blocks,
    flipped,
    having,
    past_window,
    shortest_window,
    without,
)
from harness.mutant import Inapplicable, mutant
from harness.reference.model.declaration import Attention, Block, Decoder
from harness.reference.model.tensors import Stored


@mutant
def window_one_less(baseline: Any) -> Any:
    """The window does not count the own position. Synthetic: kernels count keys to the left, configs count all."""
    return flipped(
        baseline, attentions(lambda a: replace(a, window=a.window - 1) if a.window else a), seen_from=shortest_window
    )


@mutant
def window_one_more(baseline: Any) -> Any:
    """A key at distance W is seen too (A6: ml-explore/mlx-lm#390)."""
    change = attentions(lambda a: replace(a, window=a.window + 1) if a.window else a)
    return flipped(baseline, change, seen_from=past_window)


@mutant
def window_off(baseline: Any) -> Any:
    """Every layer sees the whole text (A7: unslothai/unsloth#8253)."""
    return flipped(baseline, attentions(lambda a: replace(a, window=None)), seen_from=past_window)


@mutant
def window_on_the_other_layers(baseline: Any) -> Any:
    """Layers with and without a window are confused. Synthetic: families alternate from either kind."""

    def change(stored: Stored) -> Stored:
        seen = {m.window for b in stored.decoder.blocks for m in b.mixers if isinstance(m, Attention)}
        if len(seen) != 2 or None not in seen:
            raise Inapplicable("windows do not differ between layers")
        window = next(w for w in seen if w is not None)
        return attentions(lambda a: replace(a, window=None if a.window else window))(stored)

    return flipped(baseline, change, seen_from=past_window)


@mutant
def scores_not_capped(baseline: Any) -> Any:
    """The scores' soft cap is accepted and not applied (A3: sgl-project/sglang#33915)."""
    return flipped(baseline, attentions(lambda a: replace(a, softcap=None)))


@mutant
def sinks_ignored(baseline: Any) -> Any:
    """The softmax has no sink. Synthetic: kernels without the argument run, and give fluent text."""
    return flipped(baseline, attentions(lambda a: replace(a, sinks=False)))


@mutant
def output_not_gated(baseline: Any) -> Any:
    """Attention's output passes its gate unchanged. Synthetic: the gate hides in the query projection's rows."""

    open_gates = having("gate", lambda stored: any(a.gated for a in attentions_of(stored.decoder)))

    def q_without_gate(role: str, tensor: np.ndarray, decoder: Decoder) -> np.ndarray:
        a = next(m for b in decoder.blocks for m in b.mixers if isinstance(m, Attention))
        if role == "o.weight":
            return 2 * tensor  # sigmoid(0) is a half
        if role not in ("q.weight", "q.bias"):
            return tensor
        rows = tensor.reshape(a.heads, 2, a.head_dim, -1).copy()
        rows[:, 1] = 0
        return rows.reshape(tensor.shape)

    return flipped(baseline, open_gates, q_without_gate)


@mutant
def scores_scaled_by_the_width(baseline: Any) -> Any:
    """1/sqrt(D) in place of the model's own factor. Synthetic: it is what every kernel does by default."""
    return flipped(baseline, attentions(lambda a: replace(a, scale=a.head_dim**-0.5)))


@mutant
def scores_scaled_by_the_hidden_size(baseline: Any) -> Any:
    """D is taken as hidden_size / heads. Synthetic: it was so in all models of one generation."""

    def change(stored: Stored) -> Stored:
        hidden = stored.decoder.hidden
        return attentions(
            lambda a: (
                replace(a, scale=a.scale * (a.head_dim * a.heads / hidden) ** 0.5)
                if a.head_dim * a.heads != hidden
                else a
            )
        )(stored)

    return flipped(baseline, change)


@mutant
def queries_and_keys_not_normed(baseline: Any) -> Any:
    """The norms of queries and keys are left out. Synthetic: they are two small tensors in a copied block."""
    return flipped(baseline, attentions(lambda a: replace(a, query_norm=None, key_norm=None)))


@mutant
def projection_biases_dropped(baseline: Any) -> Any:
    """All biases of queries, keys and values are lost (A1: sbryngelson/ANEForge#253)."""
    return flipped(baseline, without(".q.bias", ".k.bias", ".v.bias", ".q_down.bias", ".kv_down.bias"))


@mutant
def output_bias_dropped(baseline: Any) -> Any:
    """The output projection's bias is lost. Synthetic: most models have none there, and loaders expect none."""
    return flipped(baseline, without(".o.bias"))


@mutant
def heads_interleaved(baseline: Any) -> Any:
    """Query head h reads key head h % KV. Synthetic: tile and repeat_interleave differ in one word."""

    def shares(stored: Stored) -> bool:
        return any(1 < a.kv_heads < a.heads for a in attentions_of(stored.decoder))

    grouped = having("group of heads that share keys", shares)

    def change(role: str, tensor: np.ndarray, decoder: Decoder) -> np.ndarray:
        a = next(m for b in decoder.blocks for m in b.mixers if isinstance(m, Attention))
        group = a.heads // a.kv_heads
        if role in ("q.weight", "q.bias") and tensor.shape[0] % a.heads == 0:
            rows = tensor.reshape(group, a.kv_heads, tensor.shape[0] // a.heads, -1)
            return rows.swapaxes(0, 1).reshape(tensor.shape)
        if role == "o.weight" and tensor.shape[1] % a.heads == 0:
            columns = tensor.reshape(len(tensor), group, a.kv_heads, -1)
            return columns.swapaxes(1, 2).reshape(tensor.shape)
        return tensor

    return flipped(baseline, grouped, change)


@mutant
def keys_not_scaled(baseline: Any) -> Any:
    """The factor of the keys is left out. Synthetic: one family alone has it."""
    return flipped(baseline, attentions(lambda a: replace(a, key_factor=1.0)))


@mutant
def mixer_factors_dropped(baseline: Any) -> Any:
    """Factors before and behind the mixers are left out. Synthetic: a port sees a norm and no factor behind it."""

    def change(block: Block) -> Block:
        return replace(block, mixer_factors=())

    return flipped(baseline, blocks(change))
