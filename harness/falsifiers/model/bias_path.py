"""Falsifiers of the biases of a decoder's projections: each one is added, and zero biases change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.synthetic_model import Config, Weights, case_tokens, case_weights, small_config
from harness.observation import Observation
from harness.reference.model.decoder import decoder_logits

QKV = tuple(f"self_attn.{name}_proj.bias" for name in "qkv")


def each_bias(subject: Any, case: Case, *, model_type: str, layers: int, length: int) -> Observation:
    """The effect of each q, k and v bias of each layer on the logits: logits with it minus logits without it.

    One pair per bias, so that a weak one (a key bias) is judged against its own effect.
    Shapes: tokens (2, length) -> per bias (2, length, vocab).
    """
    config = small_config(model_type=model_type, layers=layers)
    weights, tokens = case_weights(case, config), case_tokens(case, config, 2, length)
    whole = subject.load(config, weights).logits(tokens)
    pairs: dict[str, Any] = {}
    for name in (f"model.layers.{i}.{bias}" for i in range(layers) for bias in QKV):
        without = {**weights, name: np.zeros_like(weights[name])}
        got = whole.astype(np.float64) - subject.load(config, without).logits(tokens)
        pairs[name] = (got, case.once(_effect, config, weights, without, tokens))
    return Observation(**pairs)


def zero_biases(subject: Any, case: Case, *, length: int, layers: int = 2) -> Observation:
    """A Llama whose biases are all zero gives, byte for byte, the logits of the same model without biases.

    The subject computes both, so a subject whose path without biases differs from the path with biases fails.
    Shapes: tokens (2, length) -> logits (2, length, vocab), compared as integers of the same bytes.
    """
    plain = small_config(model_type="llama", layers=layers, biases=False)
    biased = {**plain, "attention_bias": True}
    weights, tokens = case_weights(case, plain), case_tokens(case, plain, 2, length)
    zeros = {
        f"model.layers.{i}.self_attn.{name}_proj.bias": np.zeros(
            weights[f"model.layers.{i}.self_attn.{name}_proj.weight"].shape[0], weights["model.norm.weight"].dtype
        )
        for i in range(layers)
        for name in "qkvo"
    }
    want = subject.load(plain, weights).logits(tokens)
    got = subject.load(biased, {**weights, **zeros}).logits(tokens)
    return Observation(bytes=(_bits(got), _bits(want)))


def _bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(f"i{array.dtype.itemsize}")


def _effect(config: Config, weights: Weights, without: Weights, tokens: np.ndarray) -> np.ndarray:
    return decoder_logits(config, weights, tokens) - decoder_logits(config, without, tokens)
