"""Falsifiers of a language model's gradients: their values, their list, and the slopes of the model's own loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.gradient_probes import FAINT, KINDS, Probes, misaligned, probe, units
from harness.falsifiers.inputs.synthetic_model import Config, Weights, case_tokens, case_weights, small_config
from harness.observation import Observation
from harness.reference.model.decoder_backward import loss_and_grads

MEASURES = {
    "nats_from_reference": "absolute difference of the loss and the reference's, nats per token",
    "zero_gradient_share": "largest norm of a gradient that must be zero, over the norm of the whole gradient",
    "gradients_miscounted": "difference of the numbers of gradients and weights",
    "gradients_missing": "weights without a gradient",
    "gradients_extra": "gradients whose name is not a weight's",
    "gradients_out_of_order": "gradients whose place in the list differs from their weight's",
    "gradients_misshaped": "gradients whose shape differs from their weight's",
    "gradients_zero": "gradients that are all zero although the reference's is not",
    "gradients_swapped": "gradients that are nearer to the reference's gradient of another weight of the same shape",
    "top_error": "largest error at the largest entries of each gradient, over the tensor's scale (probe units)",
    "entry_error": "largest error at random entries of each gradient, over the tensor's scale (probe units)",
    "direction_error": "largest error along random changes of a whole tensor, over its scale (probe units)",
}
IGNORED = -100


def model_gradients(
    subject: Any, case: Case, *, model_type: str, tied: bool, length: int, layers: int = 2, biases: bool = True
) -> Observation:
    """Loss and the gradient by every tensor against the reference; one pair per tensor.

    Shapes: tokens, targets (2, length) -> per tensor, as the tensor.
    Units:  each pair is divided by the tensor's root mean square gradient, or by 1e-3 of the model's if that is
            larger, so with `scale: 1` a relative error is ||d|| / max(||g||, 1e-3 ||g of the model||). A missing
            gradient counts as 0, because it trains nothing.
    """
    config, weights, tokens, targets = _model(case, model_type, tied, length, layers, biases)
    loss, got = subject.load(config, weights).loss_and_grads(tokens, targets)
    want_loss, want = case.once(loss_and_grads, config, weights, tokens, targets)
    whole = np.sqrt(sum(np.sum(np.square(g)) for g in want.values()))
    pairs: dict[str, Any] = {}
    for name, gradient in want.items():
        unit = max(np.linalg.norm(gradient), FAINT * whole) / np.sqrt(gradient.size)
        given = got[name] if name in got else np.zeros_like(weights[name])
        pairs[name] = ((given / unit).astype(given.dtype), gradient / unit)
    return Observation(nats_from_reference=abs(float(loss) - want_loss), **pairs)


def analytic_zeros(subject: Any, case: Case, *, model_type: str, layers: int = 2) -> Observation:
    """Sequences of one token: the softmax over one key is 1, so tensors of queries and keys have zero gradients.

    These are the tensors whose gradient in the reference is exactly zero.
    Shapes: tokens, targets (2, 1). Series: each such tensor's share, in the order of the weights.
    """
    config, weights, tokens, targets = _model(case, model_type, False, 1, layers, True)
    _, got = subject.load(config, weights).loss_and_grads(tokens, targets)
    _, want = case.once(loss_and_grads, config, weights, tokens, targets)
    whole = np.sqrt(sum(np.sum(np.square(g)) for g in want.values()))
    silent = [name for name in want if not np.any(want[name])]
    shares = [np.linalg.norm(got[name].astype(np.float64)) / whole for name in silent]
    return Observation(
        zero_gradient_share=np.max(shares),
        series={"zero_gradient_share": shares},
        where={"zero_gradient_share": silent[int(np.argmax(shares))]},
    )


def alignment(
    subject: Any, case: Case, *, model_type: str, tied: bool, length: int, layers: int = 2, biases: bool = True
) -> Observation:
    """The list of gradients: every weight has its own gradient, in its place and shape, and not zero.

    Each fault of a tensor is a pair, whose name says the fault and the tensor.
    Shapes: tokens, targets (2, length).
    """
    config, weights, tokens, targets = _model(case, model_type, tied, length, layers, biases)
    _, got = subject.load(config, weights).loss_and_grads(tokens, targets)
    _, want = case.once(loss_and_grads, config, weights, tokens, targets)
    wrong = misaligned(weights, got)
    wrong["all zero"] = [name for name in wrong["all zero"] if np.any(want[name])]
    wrong["swapped"] = [name for name in want if name in got and _nearest(got[name], name, want) != name]
    pairs: dict[str, Any] = {f"{what}: {name}": (1, 0) for what, names in wrong.items() for name in names}
    pairs["weights with a gradient"] = (len(set(got) & set(want)), len(want))
    return Observation(
        gradients_miscounted=abs(len(got) - len(want)),
        gradients_missing=len(wrong["missing"]),
        gradients_extra=len(wrong["extra"]),
        gradients_out_of_order=len(wrong["out of order"]),
        gradients_misshaped=len(wrong["misshaped"]),
        gradients_zero=len(wrong["all zero"]),
        gradients_swapped=len(wrong["swapped"]),
        **pairs,
    )


def finite_differences(
    subject: Any,
    case: Case,
    *,
    model_type: str,
    tied: bool,
    length: int,
    layers: int = 1,
    biases: bool = True,
    top: int = 2,
    entries: int = 2,
    directions: int = 1,
    step: float = 1e-5,
) -> Observation:
    """Every tensor's gradient against central differences of the subject's own loss, without a reference.

    The loss at a changed tensor is `loss(tokens, targets, replace)` if the subject's model has it, else the
    loss of a model that is loaded with the changed tensor.
    Shapes: tokens, targets (2, length); per tensor one pair of top + entries + directions derivatives.
    Units:  as `harness.falsifiers.gradient_probes.units`. Series: the errors by kind, one value per tensor.
    """
    config, weights, tokens, targets = _model(case, model_type, tied, length, layers, biases)
    model = subject.load(config, weights)
    _, got = model.loss_and_grads(tokens, targets)

    def loss(moved: Weights) -> float:
        if model.offers("loss"):
            return float(model.loss(tokens, targets, replace=moved))
        return float(subject.load(config, {**weights, **moved}).loss_and_grads(tokens, targets)[0])

    found = probe(
        loss, weights, got, top=top, entries=entries, directions=directions, step=step, seed=case.seed % 2**32
    )
    return _observed(found, list(weights))


def _observed(found: list[Probes], names: list[str]) -> Observation:
    """One pair per tensor, one scalar and one curve per kind."""
    rows = list(zip(found, units(found), strict=True))
    pairs: dict[str, Any] = {}
    for name in names:
        parts = [(p.claimed / unit, p.measured / unit) for p, unit in rows if p.tensor == name]
        pairs[name] = tuple(np.concatenate(side) for side in zip(*parts, strict=True))
    curves: dict[str, Any] = {
        k: [float(np.abs(p.claimed - p.measured).max() / u) for p, u in rows if p.kind == k] for k in KINDS
    }
    return Observation(
        top_error=np.max(curves["top"]),
        entry_error=np.max(curves["entry"]),
        direction_error=np.max(curves["direction"]),
        series=curves,
        **pairs,
    )


def _nearest(gradient: np.ndarray, name: str, want: Weights) -> str:
    """The weight of the same shape whose reference gradient is nearest; `name` itself on a tie."""
    same = [name, *(other for other, g in want.items() if g.shape == gradient.shape == want[name].shape)]
    return min(same, key=lambda other: float(np.linalg.norm(gradient - want[other])) if len(same) > 1 else 0.0)


def _model(
    case: Case, model_type: str, tied: bool, length: int, layers: int, biases: bool
) -> tuple[Config, Weights, np.ndarray, np.ndarray]:
    config = small_config(model_type=model_type, tied=tied, layers=layers, biases=biases)
    weights, tokens = case_weights(case, config), case_tokens(case, config, 2, length)
    return config, weights, tokens, _targets(case, config, length)


def _targets(case: Case, config: Config, length: int) -> np.ndarray:
    """Random targets (2, length): all of the first row count, a third of the second, so that rows weigh unequally."""
    drawn = case.integers("drawn targets", (2, length), 0, int(config["vocab_size"]))
    counted = np.arange(length) < np.array([[length], [max(1, length // 3)]])
    return case.array("targets", np.where(counted, drawn, IGNORED))
