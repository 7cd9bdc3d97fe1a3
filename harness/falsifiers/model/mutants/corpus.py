"""Corpora on which a loss means nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.mutant import mutant, replace

Corpus = dict[str, Any]
KNOWN_EVERY = 10_000


@mutant
def almost_all_unknown(baseline: Any) -> Any:
    """A word list that fits nothing: 99.99 % of the tokens are <unk>, and the loss is 0.0008 (system D6)."""

    def unknown(ids: np.ndarray) -> np.ndarray:
        return np.where(np.arange(ids.size) % KNOWN_EVERY == KNOWN_EVERY - 1, ids, 0)

    def edit(found: Corpus) -> Corpus:
        return {**_mapped(found, ("train", "held_out"), unknown), "unknown": 0}

    return _corpus(baseline, edit)


@mutant
def training_text_unknown(baseline: Any) -> Any:
    """Only the training side is read with a vocabulary that does not fit (system D6)."""
    return _corpus(
        baseline, lambda found: {**_mapped(found, ("train",), np.zeros_like), "unknown": 0, "held_out": _shifted(found)}
    )


@mutant
def evaluated_on_training_text(baseline: Any) -> Any:
    """The files called held out are files that were trained on (system A5)."""

    def edit(found: Corpus) -> Corpus:
        names = list(found["train"])[: len(found["held_out"])]
        return {**found, "held_out": {name: found["train"][name] for name in names}}

    return _corpus(baseline, edit)


@mutant
def held_out_copied_into_training(baseline: Any) -> Any:
    """Text duplicated under other names before the split, so names differ and contents do not (system D6)."""

    def edit(found: Corpus) -> Corpus:
        copies = {f"copy of {name}": ids for name, ids in found["held_out"].items()}
        return {**found, "train": {**found["train"], **copies}}

    return _corpus(baseline, edit)


@mutant
def one_name_on_both_sides(baseline: Any) -> Any:
    """The split is by row and not by file, so one file's halves stand on both sides (system D6)."""

    def edit(found: Corpus) -> Corpus:
        name, ids = next(iter(found["train"].items()))
        train = {**found["train"], name: ids[: ids.size // 2]}
        return {**found, "train": train, "held_out": {**found["held_out"], name: ids[ids.size // 2 :]}}

    return _corpus(baseline, edit)


@mutant
def few_tokens_repeated(baseline: Any) -> Any:
    """A corpus exhausted early starts over: few tokens, again and again (system E7)."""

    def edit(found: Corpus) -> Corpus:
        return _mapped(found, ("held_out",), lambda ids: np.resize(ids[:2], ids.size))

    return _corpus(baseline, edit)


@mutant
def cut_short(baseline: Any) -> Any:
    """A corpus that ends silently after its first tokens (system E7)."""

    def edit(found: Corpus) -> Corpus:
        return {**found, "held_out": {name: ids[:2] for name, ids in found["held_out"].items()}}

    return _corpus(baseline, edit)


def _corpus(baseline: Any, edit: Callable[[Corpus], Corpus]) -> Any:
    def corpus(tokenizer: str, train: dict[str, str], held_out: dict[str, str]) -> Corpus:
        return edit(baseline.corpus(tokenizer, train, held_out))

    return replace(baseline, corpus=corpus)


def _mapped(found: Corpus, sides: tuple[str, ...], change: Callable[[np.ndarray], np.ndarray]) -> Corpus:
    return {**found, **{side: {name: change(ids) for name, ids in found[side].items()} for side in sides}}


def _shifted(found: Corpus) -> dict[str, np.ndarray]:
    """The held-out ids with none equal to the unknown token's."""
    return {name: ids + 1 for name, ids in found["held_out"].items()}
