"""Falsifiers of llama.cpp's generation from an exported file: agreement, repetition, and whether the code parses."""

from __future__ import annotations

import ast
from math import sqrt
from typing import Any

import numpy as np

from harness.case import Case
from harness.consumers.llama_cpp import Request, ask
from harness.falsifiers.generation.greedy import _greedy, _judged
from harness.falsifiers.inputs.exported import exported
from harness.falsifiers.inputs.prompts import end_ids, prompt_ids, prompt_texts, spellings
from harness.observation import Observation
from harness.reference.generation.byte_level import byte_level_decode

MEASURES = {
    "agreed_short": "share of prompts whose first tokens, up to the short horizon, equal the reference's",
    "agreed_long": "share of prompts whose tokens, up to the long horizon or the end, all equal the reference's",
    "divergence_margin": "largest difference of the reference's logits of its own and llama.cpp's token at a first "
    "difference, over the logits' standard deviation there; 0 without a difference, infinite if one ends early",
    "divergence_rank": "largest rank (from 0) of llama.cpp's token in the reference's logits at a first difference",
    "prompts_cut_otherwise": "number of prompts that llama.cpp tokenizes differently; measured if agreed_long < 1",
    "agreed_given_ids": "agreed_long of the first six prompts that differ, with the reference's ids; measured if "
    "agreed_long < 1",
    "agreed_unwrapped": "agreed_long on the direct prompts of the same six functions; measured if agreed_long < 1",
    "parsed": "share of answers that ast.parse accepts",
    "parsed_high": "upper end of the 95 % interval of the share of answers that ast.parse accepts (Wilson)",
    "parsed_low": "lower end of the 95 % interval of the share of answers that ast.parse accepts (Wilson)",
    "repeating": "number of answers in which a fragment of four or more tokens occurs three times in a row",
}
FRAGMENT, LONGEST = 4, 24
Z = 1.96
PROBED = 6
"""Prompts that are asked again to tell a special-token bug from drift; each answer costs seconds."""


def memorised(
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
    kind: str = "F32",
) -> Observation:
    """Greedy answers to prompts for memorised functions, which llama.cpp itself tokenizes.

    If answers differ from the reference's, two more runs of a few of them separate a special-token bug from drift: the
    direct prompts of the same functions, and the reference's ids of the same prompts. If both give the right text,
    llama.cpp tokenizes the wrapper's special tokens differently; if both give wrong text, it is drift.
    Units: form is direct or chat; count functions, evenly spaced.
    """
    texts = prompt_texts(functions, form, count)
    prompts = prompt_ids(str(weights), functions, corpus, form, count)
    vocabulary, added = spellings(str(weights))
    ends = end_ids(str(weights))
    with exported(subject, case, "trained", kind, weights) as (path, _, _, _):
        cut = ask(path, Request(texts=texts))
        answer = ask(path, Request(prompts=cut.ids, new_tokens=long))
        wants = [case.once(_greedy, str(weights), "float32", ids, long, ends) for ids in prompts]
        judged = _judged(_answers(answer, count), wants, short)
        if judged["agreed_long"] < 1:
            differ = [i for i, at in enumerate(judged["series"]["first difference"]) if at >= 0][:PROBED]
            bare = prompt_ids(str(weights), functions, corpus, "direct", count)
            bare_wants = {i: case.once(_greedy, str(weights), "float32", bare[i], long, ends) for i in differ}
            judged |= {
                "prompts_cut_otherwise": sum(list(a) != list(b) for a, b in zip(cut.ids, prompts, strict=False)),
                "agreed_given_ids": _agreed(path, [prompts[i] for i in differ], [wants[i] for i in differ], long),
                "agreed_unwrapped": _agreed(path, [bare[i] for i in differ], list(bare_wants.values()), long),
            }
    found = _answers(answer, count)
    kept = [[int(i) for i in ids if i not in ends] for ids in found]
    decoded = [byte_level_decode(ids, vocabulary, added) for ids in kept]
    whole = [text + answer for text, answer in zip(texts, decoded, strict=True)] if form == "direct" else decoded
    low, high = wilson(sum(map(parses, whole)), len(whole))
    return Observation(
        parsed=sum(map(parses, whole)) / len(whole),
        parsed_low=low,
        parsed_high=high,
        repeating=sum(map(repeats, found)),
        **judged,
    )


def held_out(
    subject: Any, case: Case, *, weights: str, functions: str, corpus: str, count: int, short: int, long: int
) -> Observation:
    """Greedy continuations of held-out text, judged only by agreement with the reference."""
    prompts = prompt_ids(str(weights), functions, corpus, "held_out", count)
    ends = end_ids(str(weights))
    with exported(subject, case, "trained", "F32", weights) as (path, _, _, _):
        answer = ask(path, Request(prompts=[ids.tolist() for ids in prompts], new_tokens=long))
    wants = [case.once(_greedy, str(weights), "float32", ids, long, ends) for ids in prompts]
    return Observation(**_judged(_answers(answer, count), wants, short))


def _agreed(path: Any, prompts: list[np.ndarray], wants: list[Any], long: int) -> float:
    answer = ask(path, Request(prompts=[ids.tolist() for ids in prompts], new_tokens=long))
    return float(_judged(_answers(answer, len(prompts)), wants, 0)["agreed_long"])


def parses(text: str) -> bool:
    """Whether ast.parse accepts the text and finds at least one statement."""
    try:
        return bool(ast.parse(text).body)
    except (SyntaxError, ValueError):
        return False


def repeats(ids: np.ndarray) -> bool:
    """Whether a fragment of `FRAGMENT` to `LONGEST` tokens occurs three times in a row."""
    row = [int(i) for i in ids]
    return any(
        row[i : i + n] == row[i + n : i + 2 * n] == row[i + 2 * n : i + 3 * n]
        for n in range(FRAGMENT, LONGEST + 1)
        for i in range(len(row) - 3 * n + 1)
    )


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Both ends of the 95 % score interval of a share. Source: Wilson, JASA 22 (1927), 209-212."""
    share = hits / count
    middle = share + Z * Z / (2 * count)
    spread = Z * sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    ends = ((middle - spread) / (1 + Z * Z / count), (middle + spread) / (1 + Z * Z / count))
    return max(0.0, ends[0]), min(1.0, ends[1])


def _answers(answer: Any, count: int) -> list[np.ndarray]:
    """The generated ids per prompt; empty arrays if the file did not load."""
    if not answer.ok:
        return [np.zeros(0, np.int64)] * count
    return [np.array(ids, np.int64) for ids in answer.generated]
