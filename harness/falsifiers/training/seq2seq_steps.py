"""A falsifier of an encoder-decoder's gradients against complex-step derivatives of the reference's loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.gradient_probes import Probes, moves_of, units
from harness.falsifiers.training.seq2seq import Arrays, Config, problem
from harness.observation import Observation
from harness.reference.complex_step import complex_slopes
from harness.reference.ops.losses import cross_entropy_forward
from harness.reference.training.seq2seq import seq2seq_logits

MEASURES = {"gradients_counted": "number of gradients over the number of weights"}


def complex_steps(
    subject: Any,
    case: Case,
    *,
    length: int,
    batch: int,
    top: int,
    entries: int,
    directions: int,
    **model: Any,
) -> Observation:
    """Every weight's gradient, used or not, at its largest entries, at random entries and along the whole tensor.

    Tensors whose gradient is zero by algebra (key biases) or because they are unused have slopes of 0 here too, and
    are judged on the model's scale.
    Shapes: one pair (top + entries + directions,) per weight. Units: as `harness.falsifiers.gradient_probes.units`.
    """
    config, weights, tokens, targets = problem(case, length, batch, model)
    _, got = subject.load_seq2seq(config, weights).loss_and_grads(tokens, targets)
    found: list[Probes] = []
    for name, values in weights.items():
        gradient = np.asarray(got[name] if name in got else np.zeros_like(values), np.float64)
        rng = np.random.default_rng([case.seed, len(found)])
        for kind, moves in moves_of(values, gradient, rng, top, entries, directions).items():
            seen = case.once(_slopes, config, weights, tokens, targets, name, np.stack(moves))
            found.append(Probes(name, kind, np.array([float(np.sum(gradient * move)) for move in moves]), seen))
    rows = list(zip(found, units(found), strict=True))
    pairs: dict[str, Any] = {}
    for name in weights:
        parts = [(p.claimed / unit, p.measured / unit) for p, unit in rows if p.tensor == name]
        pairs[name] = tuple(np.concatenate(side) for side in zip(*parts, strict=True))
    return Observation(gradients_counted=len(got) / len(weights), **pairs)


def _slopes(
    config: Config, weights: Arrays, tokens: np.ndarray, targets: np.ndarray, tensor: str, moves: np.ndarray
) -> np.ndarray:
    def loss(moved: Arrays) -> np.ndarray:
        return np.asarray(cross_entropy_forward(seq2seq_logits(config, moved, tokens), targets)[0])

    return complex_slopes(loss, weights, tensor, moves)
