"""Falsifiers of greedy generation: ids and text against the reference's, and the margin at the first difference."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.checkpoint import read_checkpoint
from harness.falsifiers.inputs.hybrid_model import hybrid_config, hybrid_weights
from harness.falsifiers.inputs.prompts import end_ids, prompt_ids, spellings
from harness.observation import Observation
from harness.reference.generation.byte_level import byte_level_decode
from harness.reference.model.decoder_cache import decode, prefill

MEASURES = {
    "agreed_short": "share of prompts whose first tokens, up to the short horizon, equal the reference's",
    "agreed_long": "share of prompts whose tokens, up to the long horizon or the end, all equal the reference's",
    "divergence_margin": "largest difference of the reference's logits of its own and the subject's token at a first "
    "difference, over the logits' standard deviation there; 0 without a difference, infinite if one ends early",
    "divergence_rank": "largest rank (from 0) of the subject's token in the reference's logits at a first difference",
    "text_differs": "number of prompts whose ids the subject does not decode to the text of their bytes",
    "distinct_answers": "number of different answers",
}
Greedy = tuple[np.ndarray, np.ndarray]
"""New ids (n,), and the logits (n, V) behind each choice."""


def greedy(
    subject: Any,
    case: Case,
    *,
    weights: str,
    functions: str,
    corpus: str,
    form: str,
    count: int,
    short: int,
    long: int,
) -> Observation:
    """Greedy continuations of a trained model's prompts: ids at two horizons, and the decoded text.

    Shapes: prompts of different lengths, one at a time; up to `long` new tokens, fewer after an end token.
    """
    config, tensors = read_checkpoint(str(weights), case.dtype)
    prompts = prompt_ids(str(weights), functions, corpus, form, count)
    ends = end_ids(str(weights))
    wants = [case.once(_greedy, str(weights), case.dtype, ids, long, ends) for ids in prompts]
    model = subject.load(config, tensors)
    found = [_ids(model.generate(ids[None], long, stop=ends)) for ids in prompts]
    return Observation(**_texts(subject, str(weights), prompts, found), **_judged(found, wants, short))


def greedy_mixed(
    subject: Any,
    case: Case,
    *,
    weights: str,
    functions: str,
    corpus: str,
    form: str,
    layer_types: str,
    count: int,
    short: int,
    long: int,
) -> Observation:
    """As `greedy`, with a mixed model that has random weights and the vocabulary of the folder `weights`.

    Shapes: prompts of different lengths, one at a time; `long` new tokens.
    """
    vocabulary, added = spellings(str(weights))
    config = {**hybrid_config(layer_types=layer_types), "vocab_size": 1 + max({*vocabulary, *added})}
    tensors = hybrid_weights(case, config)
    prompts = prompt_ids(str(weights), functions, corpus, form, count)
    wants = [case.once(_greedy_hybrid, config, tensors, ids, long) for ids in prompts]
    model = subject.load(config, tensors)
    found = [_ids(model.generate(ids[None], long)) for ids in prompts]
    return Observation(**_texts(subject, str(weights), prompts, found), **_judged(found, wants, short))


def greedy_ids(
    subject: Any, case: Case, *, layer_types: str, prompt: int, count: int, short: int, long: int
) -> Observation:
    """Greedy ids of a mixed model with random weights and no tokenizer. Shapes: prompts (prompt,)."""
    config = hybrid_config(layer_types=layer_types)
    tensors = hybrid_weights(case, config)
    prompts = case.integers("prompts", (count, prompt), 0, config["vocab_size"])
    wants = [case.once(_greedy_hybrid, config, tensors, ids, long) for ids in prompts]
    model = subject.load(config, tensors)
    found = [_ids(model.generate(ids[None], long)) for ids in prompts]
    return Observation(**_judged(found, wants, short))


def decoding(subject: Any, case: Case, *, weights: str, count: int, length: int) -> Observation:
    """Random ids, including special tokens and invalid UTF-8, are decoded to the text of their bytes."""
    vocabulary, added = spellings(str(weights))
    known = np.array(sorted({*vocabulary, *added}))
    drawn = known[case.integers("ids", (count, length), 0, len(known))]
    drawn[:, ::7] = np.array(sorted(added))[case.integers("special", drawn[:, ::7].shape, 0, len(added))]
    texts = [byte_level_decode([int(i) for i in row], vocabulary, added) for row in drawn]
    got = [subject.detokenize([int(i) for i in row], str(weights)) for row in drawn]
    return Observation(text_differs=sum(a != b for a, b in zip(got, texts, strict=True)))


def _texts(subject: Any, folder: str, prompts: list[np.ndarray], found: list[np.ndarray]) -> dict[str, Any]:
    vocabulary, added = spellings(folder)
    differs = 0
    for ids, prompt in zip(found, prompts, strict=True):
        whole = [int(i) for i in (*prompt, *ids)]
        differs += subject.detokenize(whole, folder) != byte_level_decode(whole, vocabulary, added)
    return {"text_differs": differs, "distinct_answers": len({tuple(ids) for ids in found})}


def _judged(found: list[np.ndarray], wants: list[Greedy], short: int) -> dict[str, Any]:
    at = [_first_difference(ids, want) for ids, (want, _) in zip(found, wants, strict=True)]
    leads = [_lead(ids, want, i) for ids, want, i in zip(found, wants, at, strict=True) if i is not None]
    return {
        "agreed_short": float(np.mean([i is None or i >= short for i in at])),
        "agreed_long": float(np.mean([i is None for i in at])),
        "divergence_margin": max((lead for lead, _ in leads), default=0.0),
        "divergence_rank": max((rank for _, rank in leads), default=0),
        "series": {"first difference": [-1 if i is None else i for i in at], "tokens": [len(ids) for ids in found]},
    }


def _first_difference(got: np.ndarray, want: np.ndarray) -> int | None:
    shared = min(len(got), len(want))
    differ = np.flatnonzero(got[:shared] != want[:shared])
    if differ.size:
        return int(differ[0])
    return None if len(got) == len(want) else shared


def _lead(got: np.ndarray, want: Greedy, i: int) -> tuple[float, int]:
    """(margin, rank) of the subject's token at place i in the reference's logits; (inf, V) if one answer ends there."""
    ids, logits = want
    if i >= len(got) or i >= len(ids):
        return float("inf"), logits.shape[-1]
    row = logits[i]
    chosen = row[got[i]]
    return float((row[ids[i]] - chosen) / row.std()), int((row > chosen).sum())


def _ids(answer: Any) -> np.ndarray:
    """The new ids of the first row; `generate` may return (ids, logits) or ids."""
    ids = answer[0] if isinstance(answer, tuple) else answer
    return np.asarray(ids).reshape(-1).astype(np.int64)


def _greedy(folder: str, dtype: str, prompt: np.ndarray, steps: int, ends: list[int]) -> Greedy:
    config, weights = read_checkpoint(folder, dtype)
    return _continued(
        prefill(config, weights, prompt[None]), lambda ids, cache: decode(config, weights, ids, cache), steps, ends
    )


def _greedy_hybrid(config: dict[str, Any], weights: dict[str, np.ndarray], prompt: np.ndarray, steps: int) -> Greedy:
    begun = prefill(config, weights, prompt[None])
    return _continued(begun, lambda ids, cache: decode(config, weights, ids, cache), steps, [])


def _continued(begun: Any, step: Any, steps: int, ends: list[int]) -> Greedy:
    (logits, cache), ids, seen = begun, [], []
    while True:
        seen.append(logits[0, -1])
        ids.append(int(seen[-1].argmax()))
        if len(ids) == steps or ids[-1] in ends:
            return np.array(ids), np.stack(seen)
        logits, cache = step(np.array([ids[-1:]]), cache)
