"""Check a decoder's gradients against tangents: many probes of every tensor, each at the cost of one layer.

`gradient_probes` evaluates any loss twice per probe. This module uses the decoder's structure: one forward pass
per sequence, one layer per probe for the changed tensor, and one adjoint per layer for the effect of the layers
above, which all probes share and `DecoderTangents.adjoint_errors` checks against tangents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.gradient_probes import Probes, moves_of, units
from harness.falsifiers.inputs.synthetic_model import case_tokens, case_weights, small_config
from harness.observation import Observation
from harness.reference.model.decoder import decoder_forward
from harness.reference.model.decoder_backward import decoder_backward
from harness.reference.model.decoder_tangent import DecoderTangents
from harness.reference.ops.losses import cross_entropy_backward, cross_entropy_forward

MEASURES = {
    "adjoint_error": "largest error of the adjoints that the probes use, over the root mean square of their slopes",
    "probes": "number of compared slopes",
}
Arrays = Mapping[str, np.ndarray]
SOUND = 1e-8
"""Adjoints with a larger error mean a fault in the reference, not in the subject; round-off is 1e-13."""
STACK = 8
"""How many changes of one tensor one tangent pass handles."""


def tangents(
    subject: Any,
    case: Case,
    *,
    model_type: str,
    tied: bool,
    layers: int,
    length: int,
    batch: int,
    top: int = 4,
    entries: int = 4,
    directions: int = 2,
) -> Observation:
    """Every tensor's gradient against tangents of the reference's loss, and the batch's gradient against its rows'.

    Each tensor is probed on one of the sequences, in turn; its pair holds the claimed and the measured slopes. A
    pair `rows: NAME` holds the batch's gradient and the sum of its rows', weighted by their counted targets.
    Shapes: tokens, targets (batch, length); slopes (top + entries + directions,); rows as the tensor.
    Units:  slopes as `harness.falsifiers.gradient_probes.units`.
    """
    config = small_config(model_type=model_type, tied=tied, layers=layers)
    weights, tokens = case_weights(case, config), case_tokens(case, config, batch, length)
    drawn = case.integers("drawn targets", (batch, length), 0, int(config["vocab_size"]))
    counted = np.arange(length) < np.maximum(2, length // (1 + np.arange(batch)))[:, None]
    targets = case.array("targets", np.where(counted, drawn, -100))
    model = subject.load(config, weights)
    rows = [_gradients(model, tokens[i : i + 1], targets[i : i + 1]) for i in range(batch)]
    sequences = [case.once(prepare, config, weights, tokens[i], targets[i]) for i in range(batch)]
    error = float(np.max([sequence.error for sequence in sequences]))
    found = probe_rows(sequences, weights, rows, top=top, entries=entries, directions=directions, seed=case.seed)
    whole = _gradients(model, tokens, targets)
    share = counted.sum(axis=1) / counted.sum()
    pairs: dict[str, Any] = _slopes(found, list(weights))
    for name in weights:
        if name in whole and all(name in row for row in rows):
            sum_ = sum(part * row[name] for part, row in zip(share, rows, strict=True))
            scale = np.linalg.norm(sum_) / np.sqrt(np.size(sum_)) or 1.0
            pairs[f"rows: {name}"] = (whole[name] / scale, sum_ / scale)
    return Observation(adjoint_error=error, probes=sum(p.claimed.size for p in found), **pairs)


@dataclass(frozen=True)
class Prepared:
    """One sequence's forward pass, its adjoints, and their largest error."""

    tangents: DecoderTangents
    adjoints: list[np.ndarray]
    error: float


def prepare(config: Mapping[str, Any], weights: Arrays, tokens: np.ndarray, targets: np.ndarray) -> Prepared:
    """Compute what all probes of one sequence share. Shapes: tokens, targets (T,).

    Raises: ArithmeticError if the reference's adjoints differ from its tangents.
    """
    seen, adjoints = DecoderTangents(config, weights, tokens, targets), _adjoints(config, weights, tokens, targets)
    error = float(np.max(seen.adjoint_errors(adjoints)))
    if not error < SOUND:
        raise ArithmeticError(
            f"found an error of {error:.2g} in the reference's own adjoints, expected less than {SOUND:g}"
        )
    return Prepared(seen, adjoints, error)


def probe_rows(
    sequences: Sequence[Prepared],
    weights: Arrays,
    rows: Sequence[Arrays],
    *,
    top: int,
    entries: int,
    directions: int,
    seed: int = 0,
) -> list[Probes]:
    """Probe every tensor, each on one sequence, in turn.

    Shapes: `rows` holds the claimed gradients of each sequence alone, by name. A missing gradient counts as 0,
            because it trains nothing.
    Raises: ValueError naming the tensor if a gradient has another shape.
    """
    found: list[Probes] = []
    for k, (tensor, stored) in enumerate(weights.items()):
        sequence, claimed = sequences[k % len(sequences)], rows[k % len(sequences)]
        values = np.asarray(stored, np.float64)
        gradient = np.asarray(claimed.get(tensor, np.zeros_like(values)), np.float64)
        if gradient.shape != values.shape:
            raise ValueError(f"gradients: {tensor} has {gradient.shape}, expected {values.shape}")
        rng = np.random.default_rng([seed, k])
        for kind, moves in moves_of(values, gradient, rng, top, entries, directions).items():
            stacks = [np.stack(moves[j : j + STACK]) for j in range(0, len(moves), STACK)]
            slopes = [sequence.tangents.slopes(tensor, stack, sequence.adjoints) for stack in stacks]
            claims = np.array([float(np.sum(gradient * move)) for move in moves])
            found.append(Probes(tensor, kind, claims, np.concatenate([np.zeros(0), *slopes])))
    return found


def _adjoints(config: Mapping[str, Any], weights: Arrays, tokens: np.ndarray, targets: np.ndarray) -> list[np.ndarray]:
    logits, stages = decoder_forward(config, weights, tokens[None])
    _, cache = cross_entropy_forward(logits, targets[None])
    adjoints: list[np.ndarray] = []
    decoder_backward(config, weights, tokens[None], stages, cross_entropy_backward(np.ones(()), cache), adjoints)
    return [adjoint[0] for adjoint in adjoints]


def _gradients(model: Any, tokens: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.asarray(g) for name, g in model.loss_and_grads(tokens, targets)[1].items()}


def _slopes(found: list[Probes], names: list[str]) -> dict[str, Any]:
    rows = list(zip(found, units(found), strict=True))
    pairs: dict[str, Any] = {}
    for name in names:
        parts = [(p.claimed / unit, p.measured / unit) for p, unit in rows if p.tensor == name and p.claimed.size]
        pairs[name] = tuple(np.concatenate(side) for side in zip(*parts, strict=True))
    return pairs
