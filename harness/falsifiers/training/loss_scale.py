"""A falsifier of an optimizer's reaction to an overflow of a scaled gradient."""

from __future__ import annotations

import math
from typing import Any

from harness.case import Case
from harness.falsifiers.training.optim import BETAS, Arrays, beside, follow, gradients, model
from harness.observation import Observation

MEASURES = {
    "wrong_scales": "steps with an unexpected loss scale",
    "moved_on_overflow": "overflowing steps that changed a weight or the step count",
}


def overflow(
    subject: Any,
    case: Case,
    *,
    loss_scale: float,
    growth_interval: int,
    overflows: list[int],
    steps: int = 9,
    lr: float = 0.02,
    eps: float = 1e-4,
) -> Observation:
    """A step whose scaled gradient has an inf is skipped and halves the scale; it does not affect the other steps.

    Shapes: SHAPES of `training.optim`. Units: after growth_interval good steps in a row the scale doubles.
    """
    rates = {**BETAS, "lr": lr, "eps": eps, "weight_decay": 0.1}
    weights, grads = model(case), gradients(case, steps, eps)
    optimizer = subject.optimizer(weights, **rates, loss_scale=loss_scale, growth_interval=growth_interval)
    scales, moved = [], 0
    for t, grad in enumerate(grads):
        scales.append(float(optimizer.loss_scale))
        scaled = {name: g * g.dtype.type(scales[-1]) for name, g in grad.items()}
        before = _seen(optimizer)
        if t in overflows:
            scaled["layers.1.weight"][3, 2] = math.inf
        optimizer.step([scaled], [1])
        moved += t in overflows and _seen(optimizer) != before
    want, _ = case.once(follow, weights, [g for t, g in enumerate(grads) if t not in overflows], **rates)
    return Observation(
        **beside("w", optimizer.weights(), want),
        wrong_scales=sum(
            s != w for s, w in zip(scales, _scales(loss_scale, growth_interval, overflows, steps), strict=True)
        ),
        moved_on_overflow=moved,
        series={"loss_scale": scales},
    )


def _scales(scale: float, interval: int, overflows: list[int], steps: int) -> list[float]:
    found, good = [], 0
    for t in range(steps):
        found.append(scale)
        good = 0 if t in overflows else good + 1
        if t in overflows:
            scale /= 2
        elif good == interval:
            scale, good = scale * 2, 0
    return found


def _seen(optimizer: Any) -> tuple[int, list[bytes]]:
    weights: Arrays = optimizer.weights()
    return int(optimizer.state()["step"]), [w.tobytes() for w in weights.values()]
