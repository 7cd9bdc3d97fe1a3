"""The stream declared wrongly: norms, residual factors, embedding, head, order of layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from harness.falsifiers.model.mutants.checkpoint.flip import blocks, decoder, flipped, having, layer, moved, norms
from harness.mutant import Inapplicable, mutant
from harness.reference.model.declaration import Block, Decoder
from harness.reference.model.tensors import Part, Stored


@mutant
def eps_x10(baseline: Any) -> Any:
    """Norms built with 1e-5 for a model that says 1e-6 (N1: ggml-org/llama.cpp#2373; system D2)."""
    return flipped(baseline, norms(lambda n: replace(n, eps=10 * n.eps)))


@mutant
def eps_x10_in_one_layer(baseline: Any) -> Any:
    """The norms of the last layer alone have another eps (system D2)."""
    return flipped(baseline, layer(norms(lambda n: replace(n, eps=10 * n.eps))))


@mutant
def eps_of_the_last_norm_x10(baseline: Any) -> Any:
    """The norm before the head has another eps (system D2)."""
    return flipped(
        baseline,
        lambda stored: decoder(final_norm=replace(stored.decoder.final_norm, eps=10 * stored.decoder.final_norm.eps))(
            stored
        ),
    )


@mutant
def gains_without_their_one(baseline: Any) -> Any:
    """A stored gain is taken as it is where 1 belongs to it, or 1 is added to one (N2: linkedin/Liger-Kernel#74)."""
    return flipped(baseline, norms(lambda n: replace(n, plus_one=not n.plus_one) if n.gain else n))


@mutant
def norms_behind_left_out(baseline: Any) -> Any:
    """The norms behind attention and feed-forward are left out. Synthetic: a copied block has two norms, not four."""
    return flipped(baseline, blocks(lambda b: replace(b, after_mixer=None, after_feed=None)))


@mutant
def norms_behind_moved_to_the_front(baseline: Any) -> Any:
    """Norms behind attention and feed-forward stand before them. Synthetic: their names do not say where they stand."""

    def change(stored: Stored) -> Stored:
        if any(b.before_mixer or b.before_feed or not b.after_mixer for b in stored.decoder.blocks):
            raise Inapplicable("there are norms before, or none behind")
        return replace(blocks(_to_the_front)(stored), parts={**stored.parts, **_renamed(stored)})

    return flipped(baseline, change)


def _to_the_front(b: Block) -> Block:
    return replace(b, before_mixer=b.after_mixer, before_feed=b.after_feed, after_mixer=None, after_feed=None)


def _renamed(stored: Stored) -> dict[str, Part]:
    pairs = {"after_mixer": "before_mixer", "after_feed": "before_feed"}
    return {
        role.replace(old, new): part
        for old, new in pairs.items()
        for role, part in stored.parts.items()
        if f".{old}." in role
    }


@mutant
def residual_not_scaled(baseline: Any) -> Any:
    """The factor of what is added to the stream is left out. Synthetic: one family alone has it."""
    return flipped(baseline, blocks(lambda b: replace(b, residual=1.0)))


@mutant
def feed_reads_the_block_s_input(baseline: Any) -> Any:
    """Attention and feed-forward run beside each other. Synthetic: GPT-J and Falcon do so, with the same names."""
    return flipped(baseline, blocks(lambda b: replace(b, parallel=True) if b.mixers and b.feed else b))


@mutant
def layer_scalar_ignored(baseline: Any) -> Any:
    """The number that multiplies a block's output is not read. Synthetic: it is a buffer of one number."""
    return flipped(baseline, blocks(lambda b: replace(b, scalar=False)))


@mutant
def embedding_not_scaled(baseline: Any) -> Any:
    """The embedding's factor is left out (E3: huggingface/transformers#29402)."""
    return flipped(baseline, decoder(embed_factor=1.0))


@mutant
def logits_not_scaled(baseline: Any) -> Any:
    """The logits' factor is left out. Synthetic: greedy text does not show it."""
    return flipped(baseline, decoder(logit_factor=1.0))


@mutant
def logits_not_capped(baseline: Any) -> Any:
    """The logits' soft cap is left out. Synthetic: greedy text does not show it."""
    return flipped(baseline, decoder(logit_softcap=None))


@mutant
def head_taken_from_the_embedding(baseline: Any) -> Any:
    """An untied head is overwritten by the embedding (E5: sgl-project/sglang#15398)."""
    return flipped(baseline, decoder(tied=True))


@mutant
def first_and_last_layer_swapped(baseline: Any) -> Any:
    """The weights of the first and the last layer are exchanged. Synthetic: shards and names are sorted as text."""

    def change(stored: Stored) -> Stored:
        last = len(stored.decoder.blocks) - 1
        swap = {0: last, last: 0}
        shapes = [_shapes(stored, i) for i in (0, last)]
        if last == 0 or shapes[0] != shapes[1]:
            raise Inapplicable("the first and the last layer are not of one shape")

        def other(role: str, _: Stored) -> Part:
            if not role.startswith(("layers.0.", f"layers.{last}.")):
                return stored.parts[role]
            own = role.split(".", 2)
            return stored.parts[f"layers.{swap[int(own[1])]}.{own[2]}"]

        return moved(other)(stored)

    return flipped(baseline, change)


def _shapes(stored: Stored, i: int) -> dict[str, tuple[int, ...]]:
    start = f"layers.{i}."
    return {role.removeprefix(start): part.shape for role, part in stored.parts.items() if role.startswith(start)}


@mutant
def output_projection_transposed(baseline: Any) -> Any:
    """A square output projection is read as (inputs, outputs). Synthetic: its shape cannot tell which it is."""

    def there(stored: Stored) -> bool:
        shapes = [part.shape for role, part in stored.parts.items() if role.endswith(".o.weight")]
        return any(shape[0] == shape[1] for shape in shapes)

    square = having("square output projection", there)

    def change(role: str, tensor: np.ndarray, decoder: Decoder) -> np.ndarray:
        return tensor.T if role == "o.weight" and tensor.shape[0] == tensor.shape[1] else tensor

    return flipped(baseline, square, change)
