"""A falsifier of the endpoint's gradients without a reference: it uses the slopes of the trainer's own loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.gradient_probes import probe, units
from harness.falsifiers.inputs.synthetic_model import Weights
from harness.falsifiers.training.endpoint import model_with_zero_gains, ragged_batches, tensor_of
from harness.observation import Observation
from harness.reference.training.endpoint import HEAD, NORM


def own_slopes(
    subject: Any,
    case: Case,
    *,
    model_type: str,
    batch: int,
    length: int,
    layers: int,
    top: int,
    entries: int,
    directions: int,
) -> Observation:
    """Gradients of head and output norm against central differences of the loss that `endpoint_grads` returns.

    The norm's entries with gain 0 are probed too. (The embeddings' gradient bypasses the layers, so it is not a
    slope of the loss; FALSIFY-ENDPOINT-BYPASS-001 judges it.)
    Shapes: one pair (top + entries + directions,) per tensor; a gradient of another shape is a pair with its tensor.
    Units:  as `harness.falsifiers.gradient_probes.units`.
    """
    config, weights = model_with_zero_gains(case, model_type, layers)
    [(tokens, targets)] = ragged_batches(case, config, 1, batch, length)
    _, got = subject.endpoint_grads(config, weights, tokens, targets)

    def loss(moved: Weights) -> float:
        return float(subject.endpoint_grads(config, {**weights, **moved}, tokens, targets)[0])

    probed = {name: weights[name] for name in (HEAD, NORM)}
    claimed = {name: np.asarray(tensor_of(got, name)) for name in probed}
    pairs: dict[str, Any] = {n: (g, probed[n]) for n, g in claimed.items() if g.shape != probed[n].shape}
    if pairs:
        return Observation(**pairs)
    gone = [int(i) for i in np.flatnonzero(weights[NORM] == 0)]
    found = probe(
        loss,
        probed,
        claimed,
        top=top,
        entries=entries,
        directions=directions,
        seed=case.seed % 2**32,
        also={NORM: gone},
    )
    for name in probed:
        parts = [(p.claimed / u, p.measured / u) for p, u in zip(found, units(found), strict=True) if p.tensor == name]
        pairs[name] = tuple(np.concatenate(side) for side in zip(*parts, strict=True))
    return Observation(**pairs)
