"""Falsifiers of gradient processing before the step: averaging, unscaling and clipping, in this order."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.training.optim import BETAS, SHAPES, Arrays, beside, follow, model
from harness.observation import Observation
from harness.reference.training.accumulator import accumulate
from harness.reference.training.clip import clip_gradients

MEASURES = {"wrong_scales": "steps with an unexpected loss scale"}


def micro_batches(subject: Any, case: Case, *, count: int, rounds: int = 2) -> Observation:
    """Micro-batches of unequal size average to the gradient of their union, also after a reset.

    Shapes: per round `count` gradients of SHAPES, of 1 to 500 tokens each; fewer tokens have a larger gradient,
            because their mean has more noise.
    """
    accumulator = subject.accumulator()
    pairs: dict[str, Any] = {}
    for turn in range(rounds):
        grads, tokens = _ragged(case, count, f"round {turn}")
        accumulator.reset()
        for part, n in zip(grads, tokens, strict=True):
            accumulator.add(part, n)
        want = case.once(accumulate, [_double(part) for part in grads], tokens)
        pairs |= beside(f"round {turn}", accumulator.mean(), want)
    return Observation(**pairs)


def clipping(subject: Any, case: Case, *, norm: float, max_norm: float, longest: int = 0) -> Observation:
    """`clip_gradients` scales all tensors by one factor and returns the norm before clipping.

    Units:  norm is the gradient's global norm, mostly from one tensor; below max_norm nothing is scaled. longest is the
            number of elements of one more tensor, whose last element alone is a tenth of the norm; 0 leaves it out.
    """
    grads = _of_norm(case, "grad", norm)
    if longest:
        grads["longest"] = _with_a_heavy_end(case, longest, norm)
    want, total = case.once(clip_gradients, _double(grads), max_norm)
    got, found = subject.clip_gradients(grads, max_norm)
    return Observation(**beside("grad", got, want), norm=(_vector(found, grads), np.array([total])))


def update_order(
    subject: Any,
    case: Case,
    *,
    loss_scale: float,
    growth_interval: int,
    max_norm: float,
    steps: int = 8,
    count: int = 3,
    lr: float = 0.02,
    eps: float = 1e-4,
) -> Observation:
    """Average, unscale, clip, step: weights and returned norms do not depend on the loss scale, even when it changes.

    Units:  gradients are multiplied by the optimizer's `loss_scale`; growth_interval 0 and max_norm 0 switch these
            off. Norms change tenfold from step to step, so that clipping acts in some steps only.
    """
    rates = {**BETAS, "lr": lr, "eps": eps, "weight_decay": 0.1}
    options: dict[str, Any] = {"loss_scale": loss_scale} if loss_scale != 1 else {}
    options |= {"growth_interval": growth_interval} if growth_interval else {}
    options |= {"max_norm": max_norm} if max_norm else {}
    weights = model(case)
    optimizer = subject.optimizer(weights, **rates, **options)
    batches = [_ragged(case, count, f"step {t}", size=10.0 ** (t % 3 - 1)) for t in range(steps)]
    norms, scales = [], []
    for grads, tokens in batches:
        scales.append(optimizer.loss_scale if loss_scale != 1 or growth_interval else 1.0)
        scaled = [{name: g * g.dtype.type(scales[-1]) for name, g in part.items()} for part in grads]
        norms.append(optimizer.step(scaled, tokens))
    moved, totals = case.once(_whole_update, weights, batches, max_norm or np.inf, **rates)
    wanted = [loss_scale * 2.0 ** (t // growth_interval if growth_interval else 0) for t in range(steps)]
    return Observation(
        **beside("w", optimizer.weights(), moved),
        norms=(_vector(norms, weights), totals),
        wrong_scales=sum(s != w for s, w in zip(scales, wanted, strict=True)),
        series={"grad_norm": norms, "loss_scale": scales},
    )


def _whole_update(
    weights: Arrays, batches: list[tuple[list[Arrays], list[int]]], max_norm: float, **rates: Any
) -> tuple[Arrays, np.ndarray]:
    done = [clip_gradients(accumulate([_double(g) for g in grads], n), max_norm) for grads, n in batches]
    moved, _ = follow(weights, [grads for grads, _ in done], **rates)
    return moved, np.array([norm for _, norm in done])


def _ragged(case: Case, count: int, label: str, size: float = 1.0) -> tuple[list[Arrays], list[int]]:
    """Gradients of means over 1 to 500 tokens. Shapes: `count` gradients of SHAPES, `count` integers."""
    tokens = [int(n) for n in np.geomspace(1, 500, count).round()]
    grads = [
        {n: case.normal(f"{n} {label}.{i}", shape, std=size * tokens[i] ** -0.25) for n, shape in SHAPES.items()}
        for i in range(count)
    ]
    return grads, tokens


def _of_norm(case: Case, label: str, norm: float) -> Arrays:
    """A gradient of about this global norm; its tensors' sizes differ by a factor of up to 100."""
    sizes = dict(zip(SHAPES, np.geomspace(1.0, 0.01, len(SHAPES)), strict=True))
    drawn = {n: sizes[n] * case.stream(f"{n} {label}").standard_normal(shape) for n, shape in SHAPES.items()}
    total = np.sqrt(sum(np.square(g).sum() for g in drawn.values()))
    return {n: case.array(f"{n} {label}", g * (norm / total)) for n, g in drawn.items()}


def _with_a_heavy_end(case: Case, count: int, norm: float) -> np.ndarray:
    """`count` numbers of a norm of 0.14 norm, half of whose square is the last one's."""
    drawn = case.stream("longest").standard_normal(count) * (norm / 10 / np.sqrt(count))
    drawn[-1] = norm / 10
    return case.array("longest", drawn)


def _double(grads: Arrays) -> Arrays:
    return {name: g.astype(np.float64) for name, g in grads.items()}


def _vector(numbers: Any, like: Arrays) -> np.ndarray:
    """Convert returned numbers to the run's dtype, so that a Python float passes as a float32."""
    return np.asarray(numbers, dtype=next(iter(like.values())).dtype).reshape(-1)
