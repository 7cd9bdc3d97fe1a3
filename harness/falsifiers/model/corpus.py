"""Falsifier of held-out text: its tokens are known and varied, and it does not overlap the training text."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.errors import UserError
from harness.falsifiers.baselines import corpora
from harness.falsifiers.inputs.documents import documents, tokenizer_of
from harness.observation import Observation

MEASURES = {
    "unknown_share": "share of held-out tokens that are the tokenizer's unknown token",
    "train_unknown_share": "share of training tokens that are the tokenizer's unknown token",
    "top_token_share": "share of held-out tokens taken by the most frequent one",
    "distinct_tokens": "number of different token ids in the held-out text",
    "held_out_tokens": "number of tokens in the held-out text",
    "shared_files": "number of file names that are both training and held-out",
    "shared_ngram_share": "share of the held-out text's long n-grams that the training text also contains",
}
GROWTH = np.uint64(1000003)
"""Odd, so that multiplication by it modulo 2**64 is invertible."""


def held_out_text(subject: Any, case: Case, *, weights: str, corpus: str, ngram: int) -> Observation:
    """Token statistics of training and held-out text, and the file names and n-grams that both contain.

    `corpus` names a function `module:function` that returns the split (root, train, held_out). If the
    subject has its own data pipeline, `corpus(tokenizer, train, held_out)`, that encodes the files; else
    the tokenizers library does, and only the text is judged.
    Units: ngram, tokens per n-gram, is a power of two.
    Raises: UserError if it is not; NoHeldOutText (UNVERIFIED) if the folder does not list its held-out files.
    """
    train, held_out = documents(str(weights), corpus)
    pipeline = subject if subject.offers("corpus") else corpora
    found = pipeline.corpus(tokenizer_of(str(weights)), train, held_out)
    seen, text = _joined(found["train"]), _joined(found["held_out"])
    counts = np.unique(text, return_counts=True)[1]
    return Observation(
        unknown_share=_share(text == found["unknown"]),
        train_unknown_share=_share(seen == found["unknown"]),
        top_token_share=counts.max(initial=0) / max(text.size, 1),
        distinct_tokens=len(counts),
        held_out_tokens=text.size,
        shared_files=len(set(found["train"]) & set(found["held_out"])),
        shared_ngram_share=_share(np.isin(_hashes(text, ngram), _among(_hashes(text, ngram), _hashes(seen, ngram)))),
    )


def _joined(documents: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *documents.values()]).astype(np.int64)


def _share(hits: np.ndarray) -> float:
    return float(hits.mean()) if hits.size else float("nan")


def _hashes(ids: np.ndarray, length: int) -> np.ndarray:
    """One 64-bit hash per window of `length` tokens, by doubling: two halves' hashes give the hash of a window."""
    if length < 1 or length & (length - 1):
        raise UserError(f"ngram: found {length}, expected a power of two")
    if ids.size < length:
        return np.zeros(0, np.uint64)
    found, half, growth = ids.astype(np.uint64) + np.uint64(1), 1, GROWTH
    with np.errstate(over="ignore"):  # the hash is modulo 2**64
        while half < length:
            found = found[:-half] * growth + found[half:]
            half, growth = 2 * half, growth * growth
    return found


def _among(wanted: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Those of `wanted` that occur in `hashes`; sorts only `wanted`, which is shorter."""
    order = np.unique(wanted)
    place = np.minimum(np.searchsorted(order, hashes), order.size - 1)
    return np.unique(hashes[order[place] == hashes]) if order.size else order
