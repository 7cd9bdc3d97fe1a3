"""A mutant from the declaration: the decoder that a wrong reading of one field would be, executed in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from dataclasses import replace as with_fields
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from harness.dtypes import round_to
from harness.mutant import Inapplicable, NotRun, replace
from harness.reference.model.declaration import Attention, Block, Decoder, Experts, FeedForward, Mamba2, Norm, Rope
from harness.reference.model.decoder import extend, logits_of
from harness.reference.model.families import declare
from harness.reference.model.tensors import Part, Reader, Stored
from harness.reference.precision import wide

Change = Callable[[Stored], Stored]
TensorChange = Callable[[str, np.ndarray, Decoder], np.ndarray]
"""(role without the layer, tensor, decoder) -> the tensor that is handed out."""
T = TypeVar("T")


def flipped(
    baseline: Any,
    change: Change,
    tensors: TensorChange | None = None,
    *,
    seen_from: Callable[[Decoder], int] = lambda _: 0,
) -> Any:
    """The baseline with `load` of a changed declaration, or with changed tensors.

    Units:  seen_from gives the number of tokens from which on a text can show the change.
    Raises: Inapplicable, when it is loaded, if the change leaves this decoder as it is; when it is run, if the text is
            too short for it.
    """

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> SimpleNamespace:
        right = declared(config)
        wrong = change(right)
        if wrong == right and tensors is None:
            raise Inapplicable("the decoder has nothing that this changes")
        read = Reader(wrong, weights) if tensors is None else Changed(wrong, weights, change=tensors)
        return loaded(read, dtype, seen_from(right.decoder))

    return replace(baseline, load=load, ARRAYS="numpy")


def loaded(read: Reader, dtype: str, least: int = 0) -> SimpleNamespace:
    """A decoder that executes a declaration in float64 and rounds its logits; texts have `least` tokens or more."""
    read = with_fields(read, tensors={name: wide(tensor) for name, tensor in read.tensors.items()})

    def logits(tokens: np.ndarray) -> np.ndarray:
        if tokens.shape[1] < least:
            raise Inapplicable(f"{tokens.shape[1]} tokens; {least} show it")
        return round_to(logits_of(read, tokens), dtype)

    def prefill(tokens: np.ndarray, lengths: np.ndarray | None = None) -> tuple[np.ndarray, Any]:
        slots, count = np.arange(tokens.shape[1]), tokens.shape[1]
        whole = np.ones(tokens.shape, bool)
        out, cache = extend(read, tokens, whole if lengths is None else slots >= count - lengths[:, None])
        return round_to(out, dtype), cache

    def decode(tokens: np.ndarray, cache: Any) -> tuple[np.ndarray, Any]:
        out, longer = extend(read, tokens, np.ones(tokens.shape, bool), cache)
        return round_to(out, dtype), longer

    return SimpleNamespace(logits=logits, prefill=prefill, decode=decode)


def declared(config: Any) -> Stored:
    """The declaration of a config. Raises: NotRun if the reference has none: no field can be read wrongly then."""
    try:
        return declare(config)
    except ValueError as problem:
        raise NotRun(f"the reference does not declare this model ({problem})") from None


def decoder(**changed: Any) -> Change:
    """Other values of the decoder's own fields."""
    return lambda stored: with_fields(stored, decoder=with_fields(stored.decoder, **changed))


def blocks(change: Callable[[Block], Block]) -> Change:
    """Every block changed."""
    return lambda stored: _with_blocks(stored, tuple(change(block) for block in stored.decoder.blocks))


def _with_blocks(stored: Stored, changed: tuple[Block, ...]) -> Stored:
    return with_fields(stored, decoder=with_fields(stored.decoder, blocks=changed))


def mixers(kind: type[T], change: Callable[[T], T]) -> Change:
    """Every mixer of one kind changed."""

    def each(block: Block) -> Block:
        changed: Any = tuple(change(m) if isinstance(m, kind) else m for m in block.mixers)
        return with_fields(block, mixers=changed)

    return blocks(each)


def attentions(change: Callable[[Attention], Attention]) -> Change:
    return mixers(Attention, change)


def mambas(change: Callable[[Mamba2], Mamba2]) -> Change:
    return mixers(Mamba2, change)


def feeds(change: Callable[[FeedForward], FeedForward]) -> Change:
    """Every feed-forward changed, experts and shared ones included."""

    def each(block: Block) -> Block:
        feed = block.feed
        if isinstance(feed, FeedForward):
            feed = change(feed)
        elif isinstance(feed, Experts):
            shared = None if feed.shared is None else change(feed.shared)
            feed = with_fields(feed, expert=change(feed.expert), shared=shared)
        return with_fields(block, feed=feed)

    return blocks(each)


def mixtures(change: Callable[[Experts], Experts]) -> Change:
    return blocks(lambda b: with_fields(b, feed=change(b.feed)) if isinstance(b.feed, Experts) else b)


def norms(change: Callable[[Norm], Norm]) -> Change:
    """Every norm of the decoder changed."""
    return lambda stored: with_fields(stored, decoder=_norms_in(stored.decoder, change))


def _norms_in(value: Any, change: Callable[[Norm], Norm]) -> Any:
    if isinstance(value, Norm):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_norms_in(item, change) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return with_fields(value, **{f.name: _norms_in(getattr(value, f.name), change) for f in fields(value)})
    return value


def layer(change: Change, which: int = -1) -> Change:
    """The change in one layer alone."""

    def one(stored: Stored) -> Stored:
        whole, own = change(stored).decoder.blocks, list(stored.decoder.blocks)
        own[which] = whole[which]
        return _with_blocks(stored, tuple(own))

    return one


def without(*suffixes: str) -> Change:
    """Tensors whose role ends so are not read; a bias is then 0."""
    return lambda stored: with_fields(
        stored, parts={role: part for role, part in stored.parts.items() if not role.endswith(suffixes)}
    )


def moved(change: Callable[[str, Stored], Part]) -> Change:
    """Each tensor read from where `change` says."""
    return lambda stored: with_fields(stored, parts={role: change(role, stored) for role in stored.parts})


@dataclass(frozen=True)
class Changed(Reader):
    """Hands out changed tensors."""

    change: TensorChange = lambda role, tensor, decoder: tensor

    def __call__(self, role: str, expert: int | None = None) -> np.ndarray:
        return self.change(role, super().__call__(role, expert), self.stored.decoder)


def having(what: str, holds: Callable[[Stored], bool]) -> Change:
    """The decoder as it is. Raises: Inapplicable if it has none of what a change of tensors is about."""

    def same(stored: Stored) -> Stored:
        if not holds(stored):
            raise Inapplicable(f"there is no {what}")
        return stored

    return same


def ropes(**changed: Any) -> Any:
    """Every RoPE with other values."""
    return attentions(lambda a: a if a.rope is None else with_fields(a, rope=with_fields(a.rope, **changed)))


def attentions_of(decoder: Decoder) -> list[Attention]:
    return [mixer for block in decoder.blocks for mixer in block.mixers if isinstance(mixer, Attention)]


def ropes_of(stored: Stored) -> list[Rope]:
    return [a.rope for a in attentions_of(stored.decoder) if a.rope is not None]


def shortest_window(decoder: Decoder) -> int:
    """The shortest window, 0 without one."""
    return min((a.window for a in attentions_of(decoder) if a.window), default=0)


def past_window(decoder: Decoder) -> int:
    """Tokens from which on a text is longer than the shortest window."""
    return shortest_window(decoder) + 1


def past_scaling(decoder: Decoder) -> int:
    """Dynamic scaling begins behind the longest trained context, every other kind at once."""
    found = [a.rope for a in attentions_of(decoder) if a.rope is not None]
    return max((rope.longest + 1 for rope in found if dict(rope.scaling).get("rope_type") == "dynamic"), default=0)
