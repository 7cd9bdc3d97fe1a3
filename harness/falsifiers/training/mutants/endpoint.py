"""Endpoint trainers that do not train, or train what is frozen, or step otherwise (systems A1 and A4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.falsifiers.training.mutants.endpoint_gradients import (
    bypass_is_the_exact_gradient,
    bypass_of_the_sum,
    bypass_past_the_norm,
    bypass_scaled_by_the_norm_twice,
    bypass_with_the_sign_flipped,
    divided_by_the_gain,
    embedding_assigned,
    gain_summed_over_the_wrong_axis,
    grads_as,
    head_reads_the_unnormalised,
    ignored_targets_divided_by,
    ignored_targets_get_a_gradient,
    missing_one_over_n,
    zero_where_the_gain_is,
)
from harness.mutant import mutant, replace

EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
Weights = dict[str, Tensor]


@mutant
def loss_without_a_step(baseline: Any) -> Any:
    """The loss is computed and nobody steps, so perplexity never moves: the bug system A began with."""
    return _loop(baseline, step=lambda weights, grads, lr: None)


@mutant
def step_on_a_copy(baseline: Any) -> Any:
    """The curve falls, and the weights handed back are the old ones (system A1)."""
    return _training(baseline, lambda said, weights, _: {**said, "weights": dict(weights)})


@mutant
def body_decayed(baseline: Any) -> Any:
    """Weight decay reaches the frozen body: it has no gradient, and moves (system A1; O3)."""

    def decayed(said: dict[str, Any], *_: Any) -> dict[str, Any]:
        trained = (EMBEDDING, NORM, HEAD)
        return {**said, "weights": {n: w if n in trained else w * 0.999 for n, w in said["weights"].items()}}

    return _training(baseline, decayed)


@mutant
def norm_left_frozen(baseline: Any) -> Any:
    """The final norm is frozen with the other norms, by a name that matches too much (system A1)."""
    return _loop(baseline, edit=lambda grads: {n: g for n, g in grads.items() if n != NORM})


@mutant
def gradients_never_zeroed(baseline: Any) -> Any:
    """Each step adds to the last one's gradient: zero_grad is missing (system A4)."""
    kept: Weights = {}

    def edit(grads: Weights) -> Weights:
        for name, grad in grads.items():
            grads[name] = kept[name] = grad + kept.get(name, torch.zeros_like(grad))
        return grads

    return _loop(baseline, edit=edit, begin=kept.clear)


@mutant
def clip_per_tensor(baseline: Any) -> Any:
    """Each tensor is clipped by its own length, which turns the step's direction (system A4)."""
    return _loop(baseline, clip=lambda grads, most: {n: g * min(1.0, most / float(g.norm())) for n, g in grads.items()})


@mutant
def norm_reported_after_clipping(baseline: Any) -> Any:
    """The curve shows max_norm where it should show what was clipped (system A4)."""

    def edit(said: dict[str, Any], _: Weights, options: dict[str, Any]) -> dict[str, Any]:
        return {**said, "grad_norms": [min(norm, options.get("max_norm", norm)) for norm in said["grad_norms"]]}

    return _training(baseline, edit)


@mutant
def mean_of_row_means(baseline: Any) -> Any:
    """The mean of row means: a row with one token weighs as much as a full one (T1: huggingface/transformers#34191)."""

    def grads(config: Any, weights: Weights, tokens: Tensor, targets: Tensor, **kind: str) -> tuple[float, Weights]:
        pairs = zip(tokens.split(1), targets.split(1), strict=True)
        rows = [baseline.endpoint_grads(config, weights, *pair, **kind) for pair in pairs]
        loss = sum(loss for loss, _ in rows) / len(rows)
        return loss, {name: torch.stack([g[name] for _, g in rows]).mean(dim=0) for name in rows[0][1]}

    return _loop(grads_as(baseline, grads))


def _training(baseline: Any, edit: Callable[..., dict[str, Any]]) -> Any:
    """The baseline whose training says `edit(what it said, the weights it began with, its options)`."""

    def train_endpoint(
        config: Any, weights: Weights, batches: Any, *, dtype: str, device: str, **options: Any
    ) -> dict[str, Any]:
        said = baseline.train_endpoint(config, weights, batches, dtype=dtype, device=device, **options)
        return edit(said, weights, options)

    return replace(baseline, train_endpoint=train_endpoint)


def _loop(
    baseline: Any,
    *,
    edit: Callable[[Weights], Weights] = lambda grads: grads,
    clip: Callable[[Weights, float], Weights] | None = None,
    step: Callable[[Weights, Weights, float], None] | None = None,
    begin: Callable[[], None] = lambda: None,
) -> Any:
    """A plain loop over the baseline's `endpoint_grads`, with one of its parts exchanged."""
    clip, step = clip or _clip, step or _descend

    def train_endpoint(
        config: Any,
        weights: Weights,
        batches: Any,
        *,
        lr: float,
        epochs: int = 1,
        max_norm: float | None = None,
        dtype: str,
        device: str,
    ) -> dict[str, Any]:
        begin()
        current = {name: w.clone() for name, w in weights.items()}
        losses, norms = [], []
        for tokens, targets in [batch for _ in range(epochs) for batch in batches]:
            loss, grads = baseline.endpoint_grads(config, current, tokens, targets, dtype=dtype, device=device)
            grads = edit(grads)
            losses.append(loss)
            norms.append(_norm(grads))
            step(current, grads if max_norm is None else clip(grads, max_norm), lr)
        return {"losses": losses, "grad_norms": norms, "weights": current}

    return replace(baseline, train_endpoint=train_endpoint)


def _descend(weights: Weights, grads: Weights, lr: float) -> None:
    for name, grad in grads.items():
        weights[name] -= lr * grad


def _clip(grads: Weights, most: float) -> Weights:
    factor = min(1.0, most / _norm(grads))
    return {name: grad * factor for name, grad in grads.items()}


def _norm(grads: Weights) -> float:
    return float(torch.stack([grad.norm() for grad in grads.values()]).norm())


MUTANTS = {
    "missing_one_over_n": missing_one_over_n,
    "ignored_targets_divided_by": ignored_targets_divided_by,
    "ignored_targets_get_a_gradient": ignored_targets_get_a_gradient,
    "divided_by_the_gain": divided_by_the_gain,
    "zero_where_the_gain_is": zero_where_the_gain_is,
    "gain_summed_over_the_wrong_axis": gain_summed_over_the_wrong_axis,
    "head_reads_the_unnormalised": head_reads_the_unnormalised,
    "bypass_with_the_sign_flipped": bypass_with_the_sign_flipped,
    "bypass_scaled_by_the_norm_twice": bypass_scaled_by_the_norm_twice,
    "bypass_of_the_sum": bypass_of_the_sum,
    "bypass_past_the_norm": bypass_past_the_norm,
    "bypass_is_the_exact_gradient": bypass_is_the_exact_gradient,
    "embedding_assigned": embedding_assigned,
}
