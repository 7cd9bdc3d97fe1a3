"""Requests to a model with a cache: a prompt and later tokens in pieces, and the error of every piece as a stage."""

from __future__ import annotations

from typing import Any

import numpy as np

Stages = list[tuple[str, np.ndarray, np.ndarray]]


class Request:
    """One request on a loaded model: its tokens in pieces, its cache, and its logits so far."""

    def __init__(self, loaded: Any, tokens: np.ndarray, sizes: list[int], lengths: np.ndarray | None = None) -> None:
        self.pieces = np.split(tokens, np.cumsum(sizes)[:-1], axis=1)
        self.loaded, self.lengths, self.logits = loaded, lengths, list[np.ndarray]()
        self.cache: Any = None

    def advance(self) -> None:
        """Run the next piece; the first one is the prompt."""
        piece = self.pieces[len(self.logits)]
        if self.logits:
            logits, self.cache = self.loaded.decode(piece, self.cache)
        elif self.lengths is None:
            logits, self.cache = self.loaded.prefill(piece)
        else:
            logits, self.cache = self.loaded.prefill(piece, lengths=self.lengths)
        self.logits.append(logits)


def run(loaded: Any, tokens: np.ndarray, sizes: list[int], lengths: np.ndarray | None = None) -> np.ndarray:
    """Logits of all tokens, run in pieces of these sizes: a prefill, then decodes."""
    request = Request(loaded, tokens, sizes, lengths)
    for _ in sizes:
        request.advance()
    return np.concatenate(request.logits, axis=1)


def in_chunks(length: int, chunk: int) -> list[int]:
    """Sizes of the pieces of `length` tokens, the last one shorter."""
    return [chunk] * (length // chunk) + [length % chunk] * (length % chunk > 0)


def piece_stages(
    loaded: Any, tokens: np.ndarray, sizes: list[int], want: np.ndarray, replaced: bool, name: str = ""
) -> Stages:
    """(stage, got, want) for each piece. With `replaced` it comes right behind one prefill of all tokens before it.

    A piece that is wrong there has a wrong position, mask or slot, or is kept wrongly by the prefill; one that is wrong
    only behind other pieces inherits what they have kept.
    """
    ends = np.cumsum(sizes).tolist()
    whole = None if replaced else run(loaded, tokens[:, : ends[-1]], sizes)
    stages: Stages = []
    for i, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        start = end - size
        got = run(loaded, tokens[:, :end], [start, size] if start else [size]) if whole is None else whole
        stages.append((name + (f"decode.{i}" if i else "prefill"), got[:, start:end], want[:, start:end]))
    return stages


def row_stages(
    loaded: Any, tokens: np.ndarray, sizes: list[int], lengths: np.ndarray, want: np.ndarray, replaced: bool
) -> Stages:
    """(stage, got, want) for the prompt of every row of a left-padded batch and for what comes behind it.

    With `replaced` every row runs alone and without padding: a stage that is bad there is bad without padding too.
    """
    prompt = sizes[0]
    whole = None if replaced else run(loaded, tokens, sizes, lengths)
    stages: Stages = []
    for i, real in enumerate(int(n) for n in lengths):
        begin = prompt - real
        got = run(loaded, tokens[i : i + 1, begin:], [real, *sizes[1:]])[0] if whole is None else whole[i, begin:]
        name = f"row.{i} of {real} tokens"
        stages.append((f"{name}, prefill", got[:real], want[i, begin:prompt]))
        stages.append((f"{name}, decode", got[real:], want[i, prompt:]))
    return stages
