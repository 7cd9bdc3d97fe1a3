"""Falsifiers of repeatability: one call twice, and two calls at the same time."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.synthetic_model import case_weights, small_config
from harness.observation import Observation
from harness.reference.model.decoder import decoder_logits

MEASURES = {
    "elements_differ": "logits whose bytes differ between calls that ask the same",
    "undeclared_difference": "elements_differ of a subject that declares no atomics; 0 if it declares them",
    "steps_shared": "steps that each of two calls took while the other one was running",
}
DECODED = 3
"""Tokens that a cached pass decodes after its prefill."""


def twice(subject: Any, case: Case, *, length: int, cached: bool, batch: int = 2, atomics: bool = False) -> Observation:
    """The same tokens asked twice, other tokens of the same shape between, and once more on a second loaded model.

    With `atomics`, or the subject's own attribute ATOMICS, sums may be added in any order: bytes may differ then, and
    the error is limited as everywhere else.
    Shapes: tokens (batch, length) -> logits (batch, length, V).
    """
    config, weights, (one, two) = _model(case, batch, length)
    loaded = subject.load(config, weights)
    first, between, again = (_logits(loaded, tokens, cached) for tokens in (one, two, one))
    fresh = _logits(subject.load(config, weights), one, cached)
    found = _differ(first, again) + _differ(first, fresh)
    wants = [case.once(decoder_logits, config, weights, tokens) for tokens in (one, two)]
    return Observation(
        again=(again, wants[0]),
        between=(between, wants[1]),
        elements_differ=found,
        undeclared_difference=0 if _declared(subject, atomics) else found,
    )


def two_streams(
    subject: Any, case: Case, *, length: int, cached: bool, batch: int = 2, rounds: int = 4, atomics: bool = False
) -> Observation:
    """Two requests on one loaded model at the same time, each against itself alone: in two streams on CUDA.

    `rounds` times on CUDA. Where the device has no streams, in two threads that take turns after every operation, once:
    a second round would take the same steps in the same order.
    Shapes: tokens (batch, length) twice -> earlier, later (batch, length, V).
    """
    config, weights, pair = _model(case, batch, length)
    loaded = subject.load(config, weights)
    calls = [lambda tokens=tokens: _logits(loaded, tokens, cached) for tokens in pair]
    single = [subject.together(call)[0][0] for call in calls]
    found, shared, together = 0, [], single
    for _ in range(rounds if case.device.startswith("cuda") else 1):
        together, steps = subject.together(*calls)
        found += sum(_differ(a, b) for a, b in zip(single, together, strict=True))
        shared.append(steps)
    wants = [case.once(decoder_logits, config, weights, tokens) for tokens in pair]
    return Observation(
        earlier=(together[0], wants[0]),
        later=(together[1], wants[1]),
        elements_differ=found,
        undeclared_difference=0 if _declared(subject, atomics) else found,
        steps_shared=min(shared),
    )


def _model(
    case: Case, batch: int, length: int
) -> tuple[dict[str, Any], dict[str, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    config = small_config()
    one, two = (case.integers(name, (batch, length), 0, config["vocab_size"]) for name in ("tokens", "other_tokens"))
    return config, case_weights(case, config), (one, two)


def _logits(loaded: Any, tokens: np.ndarray, cached: bool) -> np.ndarray:
    """Logits of all tokens in one pass, or of a prefill and single steps through the cache."""
    if not cached:
        out: np.ndarray = loaded.logits(tokens)
        return out
    logits, cache = loaded.prefill(tokens[:, :-DECODED])
    parts = [logits]
    for i in range(DECODED, 0, -1):
        logits, cache = loaded.decode(tokens[:, -i : tokens.shape[1] - i + 1], cache)
        parts.append(logits)
    return np.concatenate(parts, axis=1)


def _differ(a: np.ndarray, b: np.ndarray) -> int:
    """How many elements have other bytes; all of them if the shapes differ."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return max(a.size, b.size, 1)
    bits = f"u{a.dtype.itemsize}"
    return int(np.count_nonzero(np.ascontiguousarray(a).view(bits) != np.ascontiguousarray(b).view(bits)))


def _declared(subject: Any, atomics: bool) -> bool:
    return atomics or (subject.offers("ATOMICS") and bool(subject.ATOMICS))
