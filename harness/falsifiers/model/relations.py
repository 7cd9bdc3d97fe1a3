"""Relations between a decoder's logits for two inputs, such as: a permuted batch gives permuted logits. No reference
is asked: both logits are the same subject's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from harness.case import Case
from harness.errors import UserError
from harness.falsifiers.answer_distance import constant, distance
from harness.falsifiers.inputs.hybrid_model import hybrid_config, hybrid_weights
from harness.falsifiers.inputs.synthetic_model import Config, Weights, case_weights, small_config
from harness.falsifiers.inputs.weight_axes import AXES, axis_sizes, permuted
from harness.observation import Observation

MEASURES = {
    "relation_err": "largest difference between the logits and those that the relation makes of the transformed "
    "input's logits, in unit round-offs of the larger of the element and the root mean square of all",
    "constant_answer": "1 if all logits are equal, which any relation would allow; else 0",
}
HYBRID = "qwen3_5_text"


class _Input(NamedTuple):
    """A model, and a left-padded batch: row b ends with lengths[b] real tokens."""

    config: Config
    weights: Weights
    tokens: np.ndarray
    lengths: np.ndarray
    stream: np.random.Generator


def relation(
    subject: Any, case: Case, *, relation: str, length: int, batch: int, model_type: str, model: dict[str, Any]
) -> Observation:
    """The logits of a transformed input are the transformed logits.

    `relation` is `permute_batch`, `grow_batch`, `unpad` (rows of a left-padded batch are the rows alone), `split_time`
    (a prompt in pieces over a KV cache is the prompt in one call), or `permute_` and an axis of the weights:
    kv_heads, group, width, inner, vocab. `model` changes the small synthetic model of that `model_type`.
    Shapes: tokens (batch, length), row b with length - b real ones (at least 1) where a batch is padded.
    Raises: UserError for a relation that is none of these.
    """
    config, weights = _model(case, model_type, model)
    given = _Input(
        config,
        weights,
        case.integers("tokens", (batch, length), 0, config["vocab_size"]),
        np.maximum(length - 2 * case.stream("order").permutation(batch), 1),
        case.stream("relation"),
    )
    got, want = _ask(subject, relation, given)
    return Observation(
        relation_err=distance(got, want, case.dtype),
        constant_answer=constant(want),
        where={"relation_err": f"{relation} of logits"},
    )


def _model(case: Case, model_type: str, model: dict[str, Any]) -> tuple[Config, Weights]:
    if model_type == HYBRID:
        config = hybrid_config(**model)
        return config, hybrid_weights(case, config)
    config = small_config(model_type=model_type, **model)
    return config, case_weights(case, config)


def _ask(subject: Any, relation: str, given: _Input) -> tuple[np.ndarray, np.ndarray]:
    own = {
        "permute_batch": _permute_batch,
        "grow_batch": _grow_batch,
        "unpad": _unpad,
        "split_time": _split_time,
    }
    if relation in own:
        return own[relation](subject.load(given.config, given.weights), given)
    verb, _, axis = relation.partition("_")
    if verb != "permute" or axis not in AXES:
        known = ", ".join([*own, *(f"permute_{each}" for each in AXES)])
        raise UserError(f"relation: found {relation!r}, expected one of {known}")
    return _permute_weights(subject, given, axis)


def _permute_batch(loaded: Any, given: _Input) -> tuple[np.ndarray, np.ndarray]:
    order = given.stream.permutation(len(given.tokens))
    want, _ = loaded.prefill(given.tokens, lengths=given.lengths)
    got, _ = loaded.prefill(given.tokens[order], lengths=given.lengths[order])
    return _real(got, given.lengths[order]), _real(want[order], given.lengths[order])


def _grow_batch(loaded: Any, given: _Input) -> tuple[np.ndarray, np.ndarray]:
    rows = np.concatenate([np.arange(len(given.tokens))] * 3)
    return loaded.logits(given.tokens[rows]), loaded.logits(given.tokens)[rows]


def _unpad(loaded: Any, given: _Input) -> tuple[np.ndarray, np.ndarray]:
    together, _ = loaded.prefill(given.tokens, lengths=given.lengths)
    alone = [
        loaded.logits(row[None, -real:])[0].reshape(real, -1)
        for row, real in zip(given.tokens, given.lengths, strict=True)
    ]
    return np.concatenate(alone), _real(together, given.lengths)


def _split_time(loaded: Any, given: _Input) -> tuple[np.ndarray, np.ndarray]:
    length = given.tokens.shape[1]
    cuts = np.unique(given.stream.integers(1, length, 3) if length > 1 else np.zeros(0, np.int64))
    first, *rest = np.split(given.tokens, cuts, axis=1)
    logits, cache = loaded.prefill(first)
    pieces = [logits]
    for piece in rest:
        logits, cache = loaded.decode(piece, cache)
        pieces.append(logits)
    return np.concatenate(pieces, axis=1), loaded.logits(given.tokens)


def _permute_weights(subject: Any, given: _Input, axis: str) -> tuple[np.ndarray, np.ndarray]:
    size = axis_sizes(given.config)
    order = given.stream.permutation(size[axis])
    want = subject.load(given.config, given.weights).logits(given.tokens)
    other = subject.load(given.config, permuted(given.weights, size, axis, order))
    if axis != "vocab":
        return other.logits(given.tokens), want
    return other.logits(np.argsort(order)[given.tokens]), want[..., order]


def _real(logits: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The logits at real tokens. Shapes: (B, T, V) -> (sum of lengths, V)."""
    return np.concatenate([row[-real:] for row, real in zip(logits, lengths, strict=True)])
