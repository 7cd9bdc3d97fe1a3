"""Falsifiers of loading: a model uses every tensor of its checkpoint once, in the right place, and no other."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.synthetic_model import Config, Weights, case_tokens, case_weights, small_config
from harness.observation import Observation
from harness.reference.model.decoder import decoder_logits

LENGTH = 7
STRANGER = "model.layers.0.self_attn.stranger_proj.weight"


def every_tensor(subject: Any, case: Case, *, model_type: str, tied: bool, layers: int = 2) -> Observation:
    """Change one tensor at a time; the logits change as the reference's do.

    One pair per tensor: an unread tensor changes nothing; one that is read twice or in a wrong place changes the
    logits differently. The pair `logits` shows a parameter that kept its initial value.
    Shapes: tokens (2, 7) -> per tensor (2, 7, vocab).
    """
    config = small_config(model_type=model_type, tied=tied, layers=layers)
    weights, tokens = case_weights(case, config), case_tokens(case, config, 2, LENGTH)
    whole = subject.load(config, weights).logits(tokens)
    pairs: dict[str, Any] = {"logits": (whole, case.once(decoder_logits, config, weights, tokens))}
    for name in weights:
        moved = {**weights, name: _moved(case, name, weights[name])}
        got = subject.load(config, moved).logits(tokens).astype(np.float64) - whole
        pairs[name] = (got, case.once(_difference, config, weights, moved, tokens))
    return Observation(**pairs)


def exact_set(subject: Any, case: Case, *, model_type: str, tied: bool, layers: int = 2) -> Observation:
    """The subject refuses a checkpoint with a missing, extra, renamed or mis-shaped tensor, and names the tensor.

    Each pair holds 1 where the error, or a warning, names the tensor. The correct checkpoint is loaded first,
    outside the measurement.
    """
    config = small_config(model_type=model_type, tied=tied, layers=layers)
    weights, tokens = case_weights(case, config), case_tokens(case, config, 1, LENGTH)
    subject.load(config, weights).logits(tokens)
    short = [_names(subject, config, _without(weights, name), tokens, name) for name in _some(weights)]
    extra = [_names(subject, config, {**weights, STRANGER: np.ones((4, 4), np.float32)}, tokens, STRANGER)]
    renamed = [_names(subject, config, _renamed(weights, name), tokens, name, _gamma(name)) for name in _some(weights)]
    shapes = [_names(subject, config, {**weights, name: weights[name][:-1]}, tokens, name) for name in _some(weights)]
    return Observation(missing=_all(short), unexpected=_all(extra), renamed=_all(renamed), misshaped=_all(shapes))


def derived_buffers(subject: Any, case: Case, *, model_type: str, length: int) -> Observation:
    """Every load computes the rotary table, which no checkpoint stores, from its own config.

    Loads two models of the same shape with different rope_theta, then runs the first and the second.
    Shapes: tokens (2, length) -> logits (2, length, vocab) of each.
    """
    first = small_config(model_type=model_type, rope_theta=1e6)
    second = small_config(model_type=model_type, rope_theta=20000.0)
    weights, tokens = case_weights(case, first), case_tokens(case, first, 2, length)
    models = [subject.load(config, weights) for config in (first, second)]
    wants = [case.once(decoder_logits, config, weights, tokens) for config in (first, second)]
    return Observation(first=(models[0].logits(tokens), wants[0]), second=(models[1].logits(tokens), wants[1]))


def _names(subject: Any, config: Config, weights: Weights, tokens: np.ndarray, *names: str) -> int:
    """1 if loading (or the first use, for a lazy loader) raises or warns with one of the names, else 0."""
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        try:
            subject.load(config, weights).logits(tokens)
        except Exception as refusal:  # noqa: BLE001  (any refusal that names the tensor is the measurement)
            return int(any(name in str(refusal) for name in names))
    return int(any(name in str(warning.message) for warning in raised for name in names))


def _all(counted: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(counted), np.ones(len(counted), dtype=np.int64)


def _some(weights: Weights) -> list[str]:
    """One tensor of every kind: those outside the layers, and those of the last layer."""
    last = max((name.split(".")[2] for name in weights if name.startswith("model.layers.")), default="")
    return [n for n in weights if not n.startswith("model.layers.") or n.startswith(f"model.layers.{last}.")]


def _without(weights: Weights, name: str) -> Weights:
    return {other: tensor for other, tensor in weights.items() if other != name}


def _renamed(weights: Weights, name: str) -> Weights:
    """Rename a tensor to a name that the config does not have (`gamma` for `weight`, as in old norms)."""
    return {**_without(weights, name), _gamma(name): weights[name]}


def _gamma(name: str) -> str:
    return f"{name.rsplit('.', 1)[0]}.gamma"


def _moved(case: Case, name: str, tensor: np.ndarray) -> np.ndarray:
    """Add noise of a quarter of the tensor's RMS to every element, so that each change is measurable."""
    return case.normal(f"{name} moved", tensor.shape, std=0.25 * float(np.sqrt(np.mean(np.square(tensor))))) + tensor


def _difference(config: Config, weights: Weights, moved: Weights, tokens: np.ndarray) -> np.ndarray:
    return decoder_logits(config, moved, tokens) - decoder_logits(config, weights, tokens)
