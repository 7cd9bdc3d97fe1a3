"""Positions declared wrongly: RoPE, its scaling, and what depends on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from harness.falsifiers.model.mutants.checkpoint.flip import (
    attentions,
    attentions_of,
    flipped,
    having,
    layer,
    past_scaling,
    ropes,
    ropes_of,
    without,
)
from harness.mutant import Inapplicable, mutant
from harness.reference.model.declaration import Attention, Decoder
from harness.reference.model.tensors import Stored


@mutant
def norms_after_positions(baseline: Any) -> Any:
    """Queries and keys are normed behind RoPE. Synthetic: both orders are in use, and one code serves both."""

    def late(a: Attention) -> Attention:
        usual = a.query_norm is not None and a.norm_over == "head" and a.rope is not None
        return replace(a, norm_after_rope=True) if usual else a

    return flipped(baseline, attentions(late))


@mutant
def key_bias_dropped(baseline: Any) -> Any:
    """One bias of three is skipped (system D3)."""

    def change(stored: Stored) -> Stored:
        if not ropes_of(stored):
            raise Inapplicable("without positions a key's bias adds one number to all scores of a query")
        return without(".k.bias")(stored)

    return flipped(baseline, change)


@mutant
def theta_of_the_library(baseline: Any) -> Any:
    """theta is not read, the default 10000 stays (R1: vllm-project/vllm#1096)."""
    return flipped(baseline, ropes(theta=10000.0))


@mutant
def theta_of_the_library_in_one_layer(baseline: Any) -> Any:
    """theta is the default in the last layer alone. Synthetic: caches of cos and sin are kept for each layer."""
    return flipped(baseline, layer(ropes(theta=10000.0)))


@mutant
def positions_of_the_other_kind(baseline: Any) -> Any:
    """Layers with a window take the RoPE of those without, and the reverse (R10: Blaizzy/mlx-vlm#1709)."""

    def change(stored: Stored) -> Stored:
        found = {(m.window is None): m.rope for m in attentions_of(stored.decoder)}
        if len(found) != 2 or found[True] == found[False]:
            raise Inapplicable("all layers have one RoPE")
        if len({m.head_dim for b in stored.decoder.blocks for m in b.mixers if isinstance(m, Attention)}) > 1:
            raise Inapplicable("heads of the two kinds have different widths")
        return attentions(lambda a: replace(a, rope=found[a.window is not None]))(stored)

    return flipped(baseline, change)


@mutant
def pairs_in_the_other_layout(baseline: Any) -> Any:
    """Neighbours are paired where halves are, or the reverse (R3: huggingface/transformers#31788)."""
    return flipped(
        baseline,
        attentions(
            lambda a: a if a.rope is None else replace(a, rope=replace(a.rope, interleaved=not a.rope.interleaved))
        ),
    )


@mutant
def whole_heads_rotated(baseline: Any) -> Any:
    """partial_rotary_factor is ignored (R6: ml-explore/mlx-lm#1698)."""
    return flipped(
        baseline,
        attentions(
            lambda a: (
                a
                if a.rope is None or a.latent is not None or "short_factor" in dict(a.rope.scaling)
                else replace(a, rope=replace(a.rope, dim=a.head_dim))
            )
        ),
    )


@mutant
def scaling_ignored(baseline: Any) -> Any:
    """rope_scaling is not passed on (R10: Blaizzy/mlx-vlm#1709)."""
    return flipped(baseline, ropes(scaling=()), seen_from=past_scaling)


@mutant
def scaling_factor_twice(baseline: Any) -> Any:
    """The scaling's factor of cos and sin is applied twice (R11: sgl-project/sglang#33558)."""

    def change(stored: Stored) -> Stored:
        from harness.reference.ops.rope import rope_frequencies

        def each(a: Attention) -> Attention:
            if a.rope is None or not a.rope.scaling:
                return a
            factor = rope_frequencies(a.rope.dim, a.rope.theta, dict(a.rope.scaling), longest=a.rope.longest)[1]
            return replace(a, scale=a.scale * factor**2) if a.rope.dim == a.head_dim else a

        return attentions(each)(stored)

    return flipped(baseline, change)


@mutant
def positions_everywhere(baseline: Any) -> Any:
    """Layers without positions rotate too. Synthetic: no_rope_layers says 1 where RoPE is used."""

    def change(stored: Stored) -> Stored:
        ropes = ropes_of(stored)
        if not ropes:
            raise Inapplicable("no layer has positions")
        return attentions(lambda a: replace(a, rope=a.rope or ropes[0]))(stored)

    return flipped(baseline, change)


@mutant
def temperature_off(baseline: Any) -> Any:
    """Queries do not grow with the position. Synthetic: short texts do not show it."""
    return flipped(baseline, attentions(lambda a: replace(a, temperature=None)))


@mutant
def rotated_part_in_front(baseline: Any) -> Any:
    """The rotated part of a latent query is taken from the front of a head. Synthetic: other models have it there."""

    latent = having("latent attention", lambda stored: any(a.latent for a in attentions_of(stored.decoder)))

    def change(role: str, tensor: np.ndarray, decoder: Decoder) -> np.ndarray:
        a = next(m for b in decoder.blocks for m in b.mixers if isinstance(m, Attention))
        if role != "q.weight" or a.latent is None:
            return tensor
        heads = tensor.reshape(a.heads, a.head_dim, -1)
        return np.roll(heads, a.latent.plain, axis=1).reshape(tensor.shape)

    return flipped(baseline, latent, change)
