"""Losses that looked right and were not: decoders whose loss misleads, and evaluations that misreport it."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from harness.mutant import mutant, replace

IGNORED = -100
CERTAIN = 20.0
"""Added to the logit of a token that was peeked at: its loss falls to about e**-20 of the others'."""


@mutant
def labels_shifted_twice(baseline: Any) -> Any:
    """Targets shifted by the loader and once more by the loss, so position t is asked for token t+2 (system D6)."""
    return _answering(baseline, lambda model, tokens: model.logits(tokens).roll(1, dims=1))


@mutant
def target_leaks(baseline: Any) -> Any:
    """The next token reaches its own prediction: a loss near 0 reads as success
    (A4, at its worst: huggingface/transformers#48748)."""

    def logits(model: Any, tokens: Tensor) -> Tensor:
        out = model.logits(tokens)
        return out + CERTAIN * one_hot(tokens.roll(-1, dims=1), out.shape[-1]).to(out.dtype)

    return _answering(baseline, logits)


@mutant
def one_future_token_seen(baseline: Any) -> Any:
    """The causal mask lies one off, so every query sees the next token (A4: huggingface/transformers#48748)."""

    def logits(model: Any, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        kind = next(model.model.parameters()).dtype
        mask = torch.full((length, length), torch.finfo(kind).min, dtype=kind, device=tokens.device).triu(2)
        mask = mask.expand(tokens.shape[0], 1, length, length)
        with torch.no_grad():
            out: Tensor = model.model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
        return out

    return _answering(baseline, logits)


@mutant
def head_left_untrained(baseline: Any) -> Any:
    """The trained head is not saved, and loading makes a new one in silence (system D4, A6)."""

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        head = weights["lm_head.weight"]
        fresh = torch.randn(head.shape, generator=torch.Generator().manual_seed(0)) * head.float().std().cpu()
        return baseline.load(config, {**weights, "lm_head.weight": fresh.to(head)}, dtype=dtype, device=device)

    return replace(baseline, load=load)


@mutant
def logits_grown_by_hidden_size(baseline: Any) -> Any:
    """A scale left out of the head: at step 1 the loss lies far above ln(vocab), as 17.2 for 11.93 did (system D)."""

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        model = baseline.load(config, weights, dtype=dtype, device=device)
        return SimpleNamespace(logits=lambda tokens: model.logits(tokens) * config["hidden_size"])

    return replace(baseline, load=load)


@mutant
def log2_for_ln(baseline: Any) -> Any:
    """ln(151643) written as 17.21, which is log2; ln is 11.93 (system D6)."""
    return _saying(baseline, lambda said, config: {**said, "ln_vocab": math.log2(config["vocab_size"])})


@mutant
def loss_in_bits(baseline: Any) -> Any:
    """The loss in bits beside a bound in nats (system D6: the same confusion on the other side)."""
    return _saying(baseline, lambda said, config: {**said, "val_loss": said["val_loss"] / math.log(2)})


@mutant
def averaged_per_batch(baseline: Any) -> Any:
    """The mean of batch means: short batches count as much as long ones (system A5; huggingface/transformers#34191)."""

    def evaluate(config: Any, weights: Any, batches: Any, *, dtype: str, device: str) -> dict[str, float]:
        each = [baseline.evaluate(config, weights, [batch], dtype=dtype, device=device) for batch in batches]
        return {
            **each[0],
            "val_loss": sum(said["val_loss"] for said in each) / len(each),
            "tokens": sum(said["tokens"] for said in each),
        }

    return replace(baseline, evaluate=evaluate)


@mutant
def padding_averaged_in(baseline: Any) -> Any:
    """The sum over targets is divided by all positions, ignored ones included: the loss looks better (system C6)."""

    def evaluate(config: Any, weights: Any, batches: Any, **kind: str) -> dict[str, float]:
        said = baseline.evaluate(config, weights, batches, **kind)
        positions = sum(targets.numel() for _, targets in batches)
        return {**said, "val_loss": said["val_loss"] * said["tokens"] / positions, "tokens": positions}

    return _context(baseline, evaluate)


@mutant
def evaluated_with_shifted_targets(baseline: Any) -> Any:
    """The evaluation shifts targets that are shifted already (system D6)."""

    def evaluate(config: Any, weights: Any, batches: Any, **kind: str) -> dict[str, float]:
        return dict(baseline.evaluate(config, weights, [(x, _shifted(y)) for x, y in batches], **kind))

    return _context(baseline, evaluate)


@mutant
def first_targets_only(baseline: Any) -> Any:
    """Nothing but the first token of each row is compared, and it is an easy one (system B7, for a loss)."""

    def evaluate(config: Any, weights: Any, batches: Any, **kind: str) -> dict[str, float]:
        return dict(baseline.evaluate(config, weights, [(x[:, :1], y[:, :1]) for x, y in batches], **kind))

    return _context(baseline, evaluate)


@mutant
def target_in_the_input(baseline: Any) -> Any:
    """An evaluation whose model is shown its targets reports a loss near 0; here by decree
    (A4, at its worst: huggingface/transformers#48748)."""

    def evaluate(config: Any, weights: Any, batches: Any, **kind: str) -> dict[str, float]:
        said = baseline.evaluate(config, weights, batches, **kind)
        return {**said, "val_loss": said["val_loss"] * math.exp(-CERTAIN)}

    return _context(baseline, evaluate)


def _answering(baseline: Any, logits: Callable[[Any, Tensor], Tensor]) -> Any:
    """The baseline whose loaded model answers `logits(model, tokens)`."""

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        model = baseline.load(config, weights, dtype=dtype, device=device)
        return SimpleNamespace(logits=lambda tokens: logits(model, tokens))

    return replace(baseline, load=load)


def _context(baseline: Any, evaluate: Callable[..., dict[str, float]]) -> Any:
    def with_names(config: Any, weights: Any, batches: Any, *, dtype: str, device: str) -> dict[str, float]:
        return evaluate(config, weights, batches, dtype=dtype, device=device)

    return replace(baseline, evaluate=with_names)


def _saying(baseline: Any, edit: Callable[[dict[str, float], Any], dict[str, float]]) -> Any:
    def evaluate(config: Any, weights: Any, batches: Any, **kind: str) -> dict[str, float]:
        return edit(baseline.evaluate(config, weights, batches, **kind), config)

    return _context(baseline, evaluate)


def _shifted(targets: Tensor) -> Tensor:
    return torch.cat([targets[:, 1:], torch.full_like(targets[:, :1], IGNORED)], dim=1)
