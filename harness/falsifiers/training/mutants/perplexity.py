"""Trainings that gain nothing on unseen text, or seem to gain more than they do (system A5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from harness.falsifiers.model.mutants.val_loss import logits_grown_by_hidden_size, target_leaks
from harness.mutant import mutant, replace

IGNORED = -100
Batches = list[tuple[Tensor, Tensor]]
Said = dict[str, Any]


@mutant
def loss_without_a_step(baseline: Any) -> Any:
    """The loss is computed and nobody steps, so perplexity never moves: the bug system A began with."""
    return _training(
        baseline, lambda train, weights, batches, lr: {**train(weights, batches, lr), "weights": dict(weights)}
    )


@mutant
def repeated_batch(baseline: Any) -> Any:
    """The loader hands out its first batch at every step: training loss falls fast, held-out text gains little
    (ZhaoJ9014/face.evoLVe#39)."""
    return _training(baseline, lambda train, weights, batches, lr: train(weights, batches[:1] * len(batches), lr))


@mutant
def degenerate_corpus(baseline: Any) -> Any:
    """99.99 % of the training tokens are the unknown token: the loss falls to 0 and nothing is learnt (system D6)."""

    def unknown(train: Any, weights: Any, batches: Batches, lr: float) -> Said:
        return train(weights, [(torch.zeros_like(x), torch.zeros_like(y)) for x, y in batches], lr)

    return _training(baseline, unknown)


@mutant
def targets_shifted_twice(baseline: Any) -> Any:
    """The loss shifts targets that are shifted already, so the token after next is learnt (system D6)."""

    def shifted(train: Any, weights: Any, batches: Batches, lr: float) -> Said:
        late = [(x, torch.cat([y[:, 1:], torch.full_like(y[:, :1], IGNORED)], dim=1)) for x, y in batches]
        return train(weights, late, lr)

    return _training(baseline, shifted)


@mutant
def climbs(baseline: Any) -> Any:
    """w += lr * gradient (system A3)."""

    def up(train: Any, weights: Any, batches: Batches, lr: float) -> Said:
        said = train(weights, batches, lr)
        return {**said, "weights": {name: 2 * w - said["weights"][name] for name, w in weights.items()}}

    return _training(baseline, up)


@mutant
def leak_once_trained(baseline: Any) -> Any:
    """The evaluation after training sees its targets, the one before it does not: a loss of 0.0008 reads as success
    (A4: huggingface/transformers#48748)."""
    loads = 0

    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        nonlocal loads
        loads += 1
        source = target_leaks(baseline) if loads > 1 else baseline
        return source.load(config, weights, dtype=dtype, device=device)

    return replace(baseline, load=load)


@mutant
def evaluated_on_training_text(baseline: Any) -> Any:
    """The evaluation loader is built from the training files (system A5)."""
    return _reporting(baseline, lambda held_out, batches: batches)


@mutant
def padding_averaged_in(baseline: Any) -> Any:
    """Ignored targets count as token 0 (system C6; T3)."""
    return _reporting(baseline, lambda held_out, _: [(x, y.clamp(min=0)) for x, y in held_out])


@mutant
def first_batch_only(baseline: Any) -> Any:
    """The evaluation stops after one batch (system D6)."""
    return _reporting(baseline, lambda held_out, _: held_out[:1])


@mutant
def averaged_per_batch(baseline: Any) -> Any:
    """The mean of batch perplexities: batches of few tokens weigh as much as full ones (system A5; T1)."""
    return _saying(baseline, lambda ask, held_out: sum(ask([batch]) for batch in held_out) / len(held_out))


@mutant
def final_is_the_initial(baseline: Any) -> Any:
    """The evaluation runs on the weights it was built with, so perplexity never moves (system A1)."""
    return _training(baseline, lambda train, *rest: _stuck(train(*rest)))


@mutant
def two_to_the_loss(baseline: Any) -> Any:
    """2 ** loss for a loss in nats (hsgodhia/hred#10)."""

    def perplexity(config: Any, weights: Any, batches: Batches, *, dtype: str, device: str) -> float:
        found = baseline.perplexity(config, weights, batches, dtype=dtype, device=device)
        return float(2 ** math.log(found))

    return replace(baseline, perplexity=perplexity)


@mutant
def perplexity_of_the_sum(baseline: Any) -> Any:
    """The summed loss of a row in place of the mean: exp overflows its meaning.
    Synthetic: losses are summed to be averaged later, and exp is taken before the division."""

    def perplexity(config: Any, weights: Any, batches: Batches, *, dtype: str, device: str) -> float:
        found = baseline.perplexity(config, weights, batches, dtype=dtype, device=device)
        return float(math.exp(min(700.0, math.log(found) * batches[0][1].shape[1])))

    return replace(baseline, perplexity=perplexity)


def _stuck(said: Said) -> Said:
    return {**said, "final_perplexity": said["initial_perplexity"]}


def _training(baseline: Any, edit: Callable[..., Said]) -> Any:
    """The baseline whose training is `edit(train, weights, batches, lr)`, train being the baseline's own."""

    def train_endpoint(
        config: Any, weights: Any, batches: Batches, *, lr: float, dtype: str, device: str, **options: Any
    ) -> Said:
        def train(weights: Any, batches: Batches, lr: float) -> Said:
            return dict(baseline.train_endpoint(config, weights, batches, lr=lr, dtype=dtype, device=device, **options))

        return edit(train, weights, batches, lr)

    return replace(baseline, train_endpoint=train_endpoint)


def _reporting(baseline: Any, chosen: Callable[[Batches, Batches], Batches]) -> Any:
    """The baseline that evaluates on `chosen(held out, training)` batches."""

    def train_endpoint(
        config: Any, weights: Any, batches: Batches, *, lr: float, held_out: Batches, dtype: str, device: str
    ) -> Said:
        text = chosen(held_out, batches)
        said = baseline.train_endpoint(config, weights, batches, lr=lr, held_out=text, dtype=dtype, device=device)
        return dict(said)

    return replace(baseline, train_endpoint=train_endpoint)


def _saying(baseline: Any, evaluate: Callable[[Callable[[Batches], float], Batches], float]) -> Any:
    """The baseline whose two perplexities are `evaluate(perplexity of given batches, held out)`."""

    def train_endpoint(
        config: Any, weights: Any, batches: Batches, *, lr: float, held_out: Batches, dtype: str, device: str
    ) -> Said:
        kind = {"dtype": dtype, "device": device}
        said = baseline.train_endpoint(config, weights, batches, lr=lr, **kind)
        for key, of in (("initial_perplexity", weights), ("final_perplexity", said["weights"])):
            said[key] = evaluate(partial(_perplexity, baseline, config, of, kind), held_out)
        return dict(said)

    return replace(baseline, train_endpoint=train_endpoint)


def _perplexity(baseline: Any, config: Any, weights: Any, kind: dict[str, str], batches: Batches) -> float:
    return float(baseline.perplexity(config, weights, batches, **kind))


MUTANTS = {
    "target_leaks": target_leaks,
    "logits_grown_by_hidden_size": logits_grown_by_hidden_size,
}
