"""Falsifiers of an encoder-decoder transformer's gradients in causal mode, for every weight by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.case import Case
from harness.observation import Observation
from harness.reference.training.seq2seq_backward import seq2seq_loss_and_grads
from harness.reference.training.seq2seq_weights import parse_config, random_tensor, unused, weight_shapes, zero_gradient

MEASURES = {
    "nats_from_reference": "absolute difference of the loss and the reference's, nats per counted token",
    "gradients_counted": "number of gradients over number of weights, which is all that a count check sees",
    "zero_gradient_share": "largest norm of a gradient that is zero by algebra (key biases), over the model's norm",
    "zero_slope_share": "largest slope of the loss along a tensor with zero gradient, over the model's gradient norm",
}
IGNORED = -100
STEP = 1e-6
"""Step of the central difference. With embedding rows of size 3e-3 its own error is 1e-7 and round-off is 1e-9."""

Config = dict[str, Any]
Arrays = dict[str, np.ndarray]


def composed_gradients(subject: Any, case: Case, *, length: int, batch: int, **model: Any) -> Observation:
    """Loss and gradient of every used weight equal the reference's; a missing gradient counts as zeros.

    A tensor whose gradient is zero by algebra has no relative error, so its norm is divided by the model's gradient
    norm: per tensor in the series, and the largest as `zero_gradient_share`. The loss is one number, whose ratio to
    the baseline's round-off would be random, so it is measured as `nats_from_reference`.
    Shapes: tokens, targets (batch, length), some targets ignored -> one pair per weight, in its shape.
    """
    config, weights, tokens, targets = problem(case, length, batch, model)
    loss, want = case.once(seq2seq_loss_and_grads, config, weights, tokens, targets)
    loaded = subject.load_seq2seq(config, weights)
    got_loss, got = loaded.loss_and_grads(tokens, targets)
    pairs = {n: (_given(got, n, w), w) for n, w in want.items() if not unused(n) and not zero_gradient(n)}
    norm = _norm(list(want.values()))
    shares = {n: _norm([_given(got, n, w)]) / norm for n, w in want.items() if zero_gradient(n)}
    return Observation(
        series={name: [share] for name, share in shares.items()},
        nats_from_reference=abs(float(got_loss) - float(loss)),
        gradients_counted=len(got) / len(weights),
        # np.max propagates NaN, max does not.
        zero_gradient_share=np.max(list(shares.values())),
        where={"zero_gradient_share": _largest(shares)},
        **pairs,
    )


def aligned_gradients(subject: Any, case: Case, *, length: int, batch: int, **model: Any) -> Observation:
    """Gradients have the order, number and shapes of the subject's own `weights()`, and each belongs to its name.

    Exact, without a tolerance. Per weight four integers: whether `weights()` has it; the place of its gradient in the
    list, which must be the weight's; whether the shapes agree; and the number of nonzero elements if the weight is
    unused, else the index of the weight whose reference gradient is most similar (by cosine), which must be itself.
    Shapes: one integer pair (4,) per weight.
    """
    config, weights, tokens, targets = problem(case, length, batch, model)
    _, want = case.once(seq2seq_loss_and_grads, config, weights, tokens, targets)
    loaded = subject.load_seq2seq(config, weights)
    own, (_, got) = list(loaded.weights()), loaded.loss_and_grads(tokens, targets)
    place, wanted = ({name: i for i, name in enumerate(names)} for names in (got, own))
    busy = [name for name in want if not unused(name) and not zero_gradient(name)]
    pairs: dict[str, Any] = {}
    for name, reference in want.items():
        gradient = _given(got, name, reference)
        fourth = (np.count_nonzero(gradient), 0) if unused(name) else (0, 0)
        if name in busy:
            fourth = (_nearest(gradient, want, busy), busy.index(name))
        facts = (name in own, place.get(name, -1), gradient.shape == reference.shape, fourth[0])
        pairs[name] = _same(facts, (True, wanted.get(name, -1), True, fourth[1]))
    return Observation(gradients_counted=len(got) / len(weights), tensors=_same([len(own)], [len(want)]), **pairs)


def slopes(subject: Any, case: Case, *, length: int, batch: int, **model: Any) -> Observation:
    """The subject's gradients are the slopes of the subject's own loss; this needs no reference.

    Per used weight two probes: the entry of the largest gradient together with a random entry, and a random direction
    of the whole tensor; `got` is the gradient along the probe, `want` the central difference of the loss. Tensors
    with zero gradient are changed too, and their slopes go into `zero_slope_share`.
    Shapes: one pair (2,) per used weight.
    """
    config, weights, tokens, targets = problem(case, length, batch, model)
    _, grads = subject.load_seq2seq(config, weights).loss_and_grads(tokens, targets)

    def slope(move: Arrays) -> float:
        def loss(step: float) -> float:
            moved = {**weights, **{name: weights[name] + step * d for name, d in move.items()}}
            return float(subject.load_seq2seq(config, moved).loss_and_grads(tokens, targets)[0])

        return (loss(STEP) - loss(-STEP)) / (2 * STEP)

    pairs: dict[str, Any] = {}
    for name in (n for n in weights if not unused(n) and not zero_gradient(n)):
        given = _given(grads, name, weights[name])
        probes = _probes(case, name, given)
        pairs[name] = (np.array([np.sum(given * d) for d in probes]), np.array([slope({name: d}) for d in probes]))
    silent = [n for n in weights if unused(n) or zero_gradient(n)]
    moves = [[n for n in silent if unused(n)], *([n] for n in silent if zero_gradient(n))]
    flat = [{n: case.normal(f"direction of {n}", weights[n].shape) for n in move} for move in moves]
    # np.maximum and np.max propagate NaN, max does not.
    seen = {_title(move): float(np.maximum(abs(slope(move)), abs(_along(grads, move)))) for move in flat}
    return Observation(
        zero_slope_share=np.max(list(seen.values())) / _norm(list(grads.values())),
        where={"zero_slope_share": _largest(seen)},
        **pairs,
    )


def problem(case: Case, length: int, batch: int, model: dict[str, Any]) -> tuple[Config, Arrays, Any, Any]:
    """Config, random weights as arrays of the case, repeating tokens, and targets of which each row ignores more."""
    config = seq2seq_config(**model)
    shapes = weight_shapes(parse_config(config))

    def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return case.array(name, lambda: random_tensor(name, shape, case.stream(name)))

    weights = {name: tensor(name, shape) for name, shape in shapes.items()}
    tokens = case.integers("tokens", (batch, length), 0, config["vocab_size"])
    labels = case.integers("labels", (batch, length), 0, config["vocab_size"])
    # All targets of the first row count, half of the next, then one, so that the mean over tokens and over rows differ.
    counted = np.arange(length) < np.maximum(1, length - length * np.arange(batch)[:, None] // 2)
    return config, weights, tokens, case.array("targets", np.where(counted, labels, IGNORED))


def seq2seq_config(
    *,
    encoder_layers: int,
    layers: int,
    hidden: int,
    heads: int,
    intermediate: int,
    vocab: int,
    positions: int,
    eps: float,
) -> Config:
    """The config in Hugging Face's keys for encoder-decoder models; `layers` are the decoder's."""
    return {
        "d_model": hidden,
        "encoder_layers": encoder_layers,
        "decoder_layers": layers,
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
        "encoder_ffn_dim": intermediate,
        "decoder_ffn_dim": intermediate,
        "vocab_size": vocab,
        "max_position_embeddings": positions,
        "activation_function": "gelu_pytorch_tanh",
        "layer_norm_eps": eps,
    }


def _probes(case: Case, name: str, gradient: np.ndarray) -> list[np.ndarray]:
    """Two directions: the steepest entry together with a random entry, and a random change of the whole tensor."""
    random = int(case.integers(f"entry of {name}", (1,), 0, gradient.size)[0])
    entries = [int(np.argmax(np.abs(gradient))), random]
    few = np.reshape(np.isin(np.arange(gradient.size), entries), gradient.shape).astype(np.float64)
    return [few, case.normal(f"direction of {name}", gradient.shape)]


def _along(grads: Arrays, move: Arrays) -> float:
    return float(sum(np.sum(_given(grads, name, d) * d) for name, d in move.items()))


def _title(move: Arrays) -> str:
    """A title for the changed tensors: a tensor's name, or the number of unused tensors changed together."""
    return next(iter(move)) if len(move) == 1 else f"{len(move)} tensors that are not used"


def _largest(shares: dict[str, float]) -> str:
    """The name of the largest share; a NaN counts as the largest."""
    return list(shares)[int(np.argmax(list(shares.values())))]


def _nearest(gradient: np.ndarray, want: Arrays, names: list[str]) -> int:
    """The index in `names` of the tensor whose gradient is most similar by cosine; -1 if this one is zero or NaN."""
    length = _norm([gradient])
    if not length > 0 or not np.isfinite(length):
        return -1

    def cosine(name: str) -> float:
        other = want[name]
        return float(np.sum(gradient * other)) / _norm([other]) if other.shape == gradient.shape else -np.inf

    return int(np.argmax([cosine(name) for name in names]))


def _given(grads: Arrays, name: str, like: np.ndarray) -> np.ndarray:
    return np.asarray(grads[name]) if name in grads else np.zeros(like.shape)


def _same(got: Sequence[Any], want: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(got, dtype=np.int64), np.array(want, dtype=np.int64)


def _norm(arrays: list[np.ndarray]) -> float:
    return float(np.sqrt(sum(np.sum(np.square(a, dtype=np.float64)) for a in arrays)))
