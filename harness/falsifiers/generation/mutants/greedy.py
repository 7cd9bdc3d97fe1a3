"""Known-wrong generation: detokenisation, positions, early ends, and answers right at first (systems B7 and E5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace

Answer = tuple[Tensor, Tensor]


@mutant
def added_tokens_dropped(baseline: Any) -> Any:
    """Special tokens vanish from the text (system B7)."""

    def detokenize(ids: Sequence[int], folder: str) -> str:
        text: str = baseline.detokenize([i for i in ids if baseline.detokenize([i], folder)[:2] != "<|"], folder)
        return text

    return replace(baseline, detokenize=detokenize)


@mutant
def added_tokens_in_letters(baseline: Any) -> Any:
    """Added tokens are decoded as byte-level letters are, with a blank before each (system B7)."""

    def detokenize(ids: Sequence[int], folder: str) -> str:
        parts = [baseline.detokenize([i], folder) for i in ids]
        if not any(part.startswith("<|") for part in parts):
            return str(baseline.detokenize(ids, folder))
        return "".join(f" {part}" if part.startswith("<|") else part for part in parts)

    return replace(baseline, detokenize=detokenize)


@mutant
def token_by_token(baseline: Any) -> Any:
    """Each token is decoded alone: a character of two tokens becomes two marks (system B7)."""
    return replace(baseline, detokenize=lambda ids, folder: "".join(baseline.detokenize([i], folder) for i in ids))


@mutant
def blanks_cleaned_up(baseline: Any) -> Any:
    """The tokenizer's cleaning joins what code keeps apart: ' ,' becomes ',' (system B7)."""

    def detokenize(ids: Sequence[int], folder: str) -> str:
        text: str = baseline.detokenize(ids, folder)
        for mark in ".,:)":
            text = text.replace(f" {mark}", mark)
        return text.replace("  ", " ")

    return replace(baseline, detokenize=detokenize)


@mutant
def first_tokens_alone_right(baseline: Any) -> Any:
    """The first eight tokens are right and what follows is another's: the check that compares no more is green
    (system B7)."""

    def edit(ids: Tensor, logits: Tensor) -> Tensor:
        second = logits.topk(2, dim=-1).indices[..., 1]
        late = torch.arange(ids.shape[1], device=ids.device) >= 8
        return torch.where(late, second, ids)

    return _generating(baseline, edit)


@mutant
def second_best(baseline: Any) -> Any:
    """The second likeliest token at every fourth place, as a sampler left on does (system E5)."""

    def edit(ids: Tensor, logits: Tensor) -> Tensor:
        second = logits.topk(2, dim=-1).indices[..., 1]
        return torch.where(torch.arange(ids.shape[1], device=ids.device) % 4 == 3, second, ids)

    return _generating(baseline, edit)


@mutant
def ends_one_token_early(baseline: Any) -> Any:
    """The last token is dropped (system B7)."""
    return _generating(baseline, lambda ids, logits: ids[:, :-1])


@mutant
def prompt_truncated(baseline: Any) -> Any:
    """The prompt loses its first token, as a second BOS or a window counted wrong has it (system E2)."""
    return _prompting(baseline, lambda tokens: tokens[:, 1:])


@mutant
def special_tokens_split(baseline: Any) -> Any:
    """A special token of the prompt arrives as other tokens: its letters, not its id (system E5)."""

    def split(tokens: Tensor) -> Tensor:
        special = tokens.max()
        return torch.cat([torch.full_like(tokens[:, :3], 27), tokens[tokens != special][None]], dim=1)

    return _prompting(baseline, split)


@mutant
def same_answer_always(baseline: Any) -> Any:
    """The first prompt's answer is given to every prompt: a cache that is never cleared
    (K5: vllm-project/vllm#56524)."""
    kept: dict[str, Any] = {}

    class Kept:
        def __init__(self, model: Any) -> None:
            self.model = model

        def generate(self, tokens: Tensor, max_new_tokens: int, *, stop: Sequence[int] = ()) -> Answer:
            if "answer" not in kept:
                kept["answer"] = self.model.generate(tokens, max_new_tokens, stop=stop)
            answer: Answer = kept["answer"]
            return answer[0].clone(), answer[1].clone()

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        kept.clear()
        return Kept(baseline.load(config, weights, dtype=dtype, device=device))

    return replace(baseline, load=load)


def _prompting(baseline: Any, edit: Callable[[Tensor], Tensor]) -> Any:
    return _wrapped(baseline, lambda generate, tokens, count, stop: generate(edit(tokens), count, stop=stop))


def _generating(baseline: Any, edit: Callable[[Tensor, Tensor], Tensor]) -> Any:
    def run(generate: Any, tokens: Tensor, count: int, stop: Sequence[int]) -> Answer:
        ids, logits = generate(tokens, count, stop=stop)
        return edit(ids, logits), logits

    return _wrapped(baseline, run)


def _wrapped(baseline: Any, run: Callable[..., Answer]) -> Any:
    class Wrapped:
        def __init__(self, model: Any) -> None:
            self.model = model

        def generate(self, tokens: Tensor, max_new_tokens: int, *, stop: Sequence[int] = ()) -> Answer:
            return run(self.model.generate, tokens, max_new_tokens, stop)

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        return Wrapped(baseline.load(config, weights, dtype=dtype, device=device))

    return replace(baseline, load=load)
