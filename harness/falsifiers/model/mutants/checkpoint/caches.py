"""Decoders of any family whose caches are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as with_fields
from types import SimpleNamespace
from typing import Any

import numpy as np

from harness.dtypes import round_to
from harness.falsifiers.model.mutants.checkpoint.flip import declared, loaded
from harness.mutant import Inapplicable, mutant, replace
from harness.reference.model.declaration import Attention
from harness.reference.model.decoder import Cache, Kept, extend
from harness.reference.model.tensors import Reader
from harness.reference.precision import wide

Edit = Callable[[Any, Kept], Kept]
"""(mixer, what it kept) -> what the next call is given."""


def _editing(baseline: Any, edit: Edit, kind: Callable[[Any], bool], *, real: bool = True) -> Any:
    """The baseline whose decode is given another cache; without `real` padding counts as text.

    Raises: Inapplicable if no mixer of the decoder is of this kind.
    """

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> SimpleNamespace:
        read = Reader(declared(config), {name: wide(tensor) for name, tensor in weights.items()})
        blocks = read.stored.decoder.blocks
        if not any(kind(mixer) for block in blocks for mixer in block.mixers):
            raise Inapplicable("no layer keeps what this changes")
        right = loaded(read, dtype)

        def decode(tokens: np.ndarray, cache: Cache) -> tuple[np.ndarray, Cache]:
            kept = tuple(
                tuple(edit(m, old) if kind(m) else old for m, old in zip(block.mixers, own, strict=True))
                for block, own in zip(blocks, cache.blocks, strict=True)
            )
            seen = cache.real if real else np.ones_like(cache.real)
            out, longer = extend(read, tokens, np.ones(tokens.shape, bool), Cache(kept, seen))
            return round_to(out, dtype), with_fields(longer, real=np.concatenate([cache.real, tokens >= 0], axis=1))

        right.decode = decode
        return right

    return replace(baseline, load=load, ARRAYS="numpy")


def _attends(mixer: Any) -> bool:
    return isinstance(mixer, Attention)


def _recurs(mixer: Any) -> bool:
    return not isinstance(mixer, Attention)


@mutant
def padding_is_seen(baseline: Any) -> Any:
    """Behind a prompt, its padding counts as text (A9: unslothai/unsloth#4078)."""
    return _editing(baseline, lambda _, kept: kept, _attends, real=False)


@mutant
def last_token_forgotten(baseline: Any) -> Any:
    """The newest key and value are zeros. Synthetic: a slot is counted before it is written."""

    def edit(_: Any, kept: Kept) -> Kept:
        assert kept is not None
        keys, values = (part.copy() for part in kept)
        keys[:, :, -1], values[:, :, -1] = 0, 0
        return keys, values

    return _editing(baseline, edit, _attends)


@mutant
def values_overwritten_by_keys(baseline: Any) -> Any:
    """The first slot's value is its key. Synthetic: both live in one buffer."""

    def edit(_: Any, kept: Kept) -> Kept:
        assert kept is not None
        keys, values = kept
        width = min(keys.shape[-1], values.shape[-1])
        values = values.copy()
        values[:, :, 0, :width] = keys[:, :, 0, :width]
        return keys, values

    return _editing(baseline, edit, _attends)


@mutant
def kept_in_bfloat16(baseline: Any) -> Any:
    """Keys, values and states are kept in bfloat16, whatever the dtype. Synthetic: it halves a cache's memory."""

    def edit(_: Any, kept: Kept) -> Kept:
        assert kept is not None
        first, second = (round_to(part, "bfloat16").astype(np.float64) for part in kept)
        return first, second

    return _editing(baseline, edit, lambda _: True)


@mutant
def state_forgotten(baseline: Any) -> Any:
    """The recurrent state begins at zero behind every call. Synthetic: a chunked kernel returns no state by default."""

    def edit(_: Any, kept: Kept) -> Kept:
        assert kept is not None
        return np.zeros_like(kept[0]), kept[1]

    return _editing(baseline, edit, _recurs)


@mutant
def convolution_begins_anew(baseline: Any) -> Any:
    """The short convolution sees zeros before every call. Synthetic: its last inputs are a second small state."""

    def edit(_: Any, kept: Kept) -> Kept:
        assert kept is not None
        return kept[0], np.zeros_like(kept[1])

    return _editing(baseline, edit, _recurs)


@mutant
def rows_exchanged(baseline: Any) -> Any:
    """Rows of the batch get each other's cache. Synthetic: beams are reordered after the cache and not with it."""

    def edit(_: Any, kept: Kept) -> Kept:
        assert kept is not None
        return kept[0][::-1], kept[1][::-1]

    return _editing(baseline, edit, lambda _: True)
