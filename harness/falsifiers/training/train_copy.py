"""Falsifier of training on a copy: inference weights do not change until the swap."""

from __future__ import annotations

from typing import Any

from harness.case import Case
from harness.falsifiers.training.optim import BETAS, beside, gradients, model
from harness.observation import Observation


def read_until_swap(subject: Any, case: Case, *, steps: int, lr: float) -> Observation:
    """Inference weights before the swap, after it, after further training, and after a second swap.

    All bytes are compared with the initial weights, and with the weights of a plain `optimizer` of the subject that
    takes the same updates. Shapes: harness.falsifiers.training.optim.SHAPES.
    """
    rates = {**BETAS, "lr": lr, "eps": 1e-8, "weight_decay": 0.1}
    weights, grads = model(case), gradients(case, 2 * steps, 1e-3)
    trainer, plain = subject.trainer_copy(weights, **rates), subject.optimizer(weights, **rates)
    for g in grads[:steps]:
        trainer.step(g)
        plain.step([g], [1])
    pairs: dict[str, Any] = beside("before", trainer.inference_weights(), weights)
    halfway = plain.weights()
    trainer.swap()
    pairs |= beside("swapped", trainer.inference_weights(), halfway)
    for g in grads[steps:]:
        trainer.step(g)
        plain.step([g], [1])
    pairs |= beside("after", trainer.inference_weights(), halfway)
    trainer.swap()
    pairs |= beside("swapped again", trainer.inference_weights(), plain.weights())
    return Observation(**pairs)
