"""Falsifiers of low-rank adapters: their scale, their effect, merging, and calls without adapters."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.hybrid_model import adapter_layers, adapter_pairs
from harness.falsifiers.inputs.synthetic_model import case_tokens, case_weights, small_config
from harness.falsifiers.model.gdn_layer import adapters, inputs, layer, states
from harness.observation import Observation
from harness.reference.adapters.lora import lora_scale, merge
from harness.reference.model.decoder import decoder_logits
from harness.reference.model.decoder_backward import loss_and_grads
from harness.reference.model.gated_delta_net import gated_delta_net_forward

MEASURES = {
    "off_differs": "bytes in which a call with lora={}, or after a call with adapters, differs from a plain call",
    "second_merge_differs": "bytes in which two merges of the same adapter into the same weight differ",
    "scale_error": "largest relative difference of a scale and alpha / r, or alpha / sqrt(r) if rank-stabilised",
    "adapter_effect": "relative L2 difference of the adapted and the plain model's logits",
    "adapters_without_gradient": "number of adapter matrices whose gradient is missing or all zeros",
}


LAYERS = {"some": 12}
"""Layers of a decoder with adapters on some of them: `layers.1` and `layers.10` both exist."""


def off(subject: Any, case: Case, *, key_heads: int, per_key: int, length: int) -> Observation:
    """A call with lora={}, and a call after one with adapters, equal the plain call byte for byte.

    Shapes: x, out (2, length, 24); logits (2, length, V) of a decoder: plain, with lora={}, plain again.
    """
    config, weights = layer(case, key_heads, per_key)
    x = inputs(case, config, length)
    plain, _, _ = subject.gated_delta_net(x, weights, config)
    empty, _, _ = subject.gated_delta_net(x, weights, config, lora={})
    subject.gated_delta_net(x, weights, config, lora=adapters(case, weights))
    after, _, _ = subject.gated_delta_net(x, weights, config)
    model = small_config()
    tensors, tokens = case_weights(case, model), case_tokens(case, model, 2, length)
    lora = _adapters(case, model, "attention", 3, 0.7)
    logits = subject.load(model, tensors).logits(tokens)
    loaded_empty = subject.load(model, tensors, lora={}).logits(tokens)
    subject.load(model, tensors, lora=lora).logits(tokens)
    again = subject.load(model, tensors).logits(tokens)
    pairs = ((empty, plain), (after, plain), (loaded_empty, logits), (again, logits))
    return Observation(
        out=(plain, case.once(gated_delta_net_forward, x, weights, config)[0]),
        logits=(logits, case.once(decoder_logits, model, tensors, tokens)),
        off_differs=sum(_bytes(a, b) for a, b in pairs),
    )


def projections(subject: Any, case: Case, *, key_heads: int, per_key: int, length: int, only: str) -> Observation:
    """A gated-delta-net layer with adapters on one projection, or on `all` five.

    Shapes: x, out (2, length, 24).
    """
    config, weights = layer(case, key_heads, per_key)
    x, given = inputs(case, config, length), states(case, config)
    every = adapters(case, weights)
    lora = every if only == "all" else {only: every[only]}
    out, _, _ = subject.gated_delta_net(x, weights, config, lora=lora, **given)
    changed = {n: w if n.removesuffix(".weight") not in lora else _merged(w, lora[n[:-7]]) for n, w in weights.items()}
    return Observation(out=(out, case.once(gated_delta_net_forward, x, changed, config, **given)[0]))


def scales(subject: Any, case: Case) -> Observation:
    """The scale of ranks 1 to 64, with and without rank stabilisation."""
    pairs = [(1, 1.0), (2, 8.0), (3, 16.0), (8, 32.0), (16, 7.0), (64, 128.0)]
    errors = [
        abs(subject.lora_scale(r, alpha, stabilised) / lora_scale(r, alpha, stabilised) - 1)
        for r, alpha in pairs
        for stabilised in (False, True)
    ]
    return Observation(scale_error=float(np.max(errors)))


def merged(subject: Any, case: Case, *, rows: int, columns: int, r: int, scale: float) -> Observation:
    """Merging adds scale B A once, unmerging subtracts it, and merging again into the same weight gives the same bytes.

    Shapes: weight (rows, columns), A (r, columns), B (rows, r).
    """
    weight = case.normal("weight", (rows, columns), std=0.1)
    A, B = case.normal("A", (r, columns), std=0.3), case.normal("B", (rows, r), std=0.3)
    adapter = (A, B, scale)
    whole = subject.merge_lora(weight, adapter)
    return Observation(
        merged=(whole, case.once(merge, *_wide(weight), (*_wide(A, B), scale))),
        restored=(subject.unmerge_lora(whole, adapter), weight.astype(np.float64)),
        second_merge_differs=_bytes(subject.merge_lora(weight, adapter), whole),
    )


def decoder(subject: Any, case: Case, *, model_type: str, which: str, r: int, scale: float, length: int) -> Observation:
    """A decoder with unmerged adapters equals the reference with the merged weights.

    Shapes: tokens (2, length) -> logits (2, length, V).
    Units:  `some` of 12 layers have adapters, or `attention` or `everything` of 2.
    """
    config = small_config(model_type=model_type, layers=LAYERS.get(which, 2))
    weights, tokens = case_weights(case, config), case_tokens(case, config, 2, length)
    lora = _adapters(case, config, which, r, scale)
    logits = subject.load(config, weights, lora=lora).logits(tokens)
    plain = case.once(decoder_logits, config, weights, tokens)
    want = case.once(decoder_logits, config, _changed(weights, lora), tokens)
    return Observation(
        logits=(logits, want), adapter_effect=float(np.linalg.norm(logits - plain) / np.linalg.norm(plain))
    )


def decoder_gradients(
    subject: Any, case: Case, *, model_type: str, which: str, r: int, scale: float, length: int
) -> Observation:
    """Gradients of every adapter matrix of a decoder: dA = scale B^T dW, dB = scale dW A^T of the merged weight.

    Shapes: tokens, targets (2, length); one pair per matrix. Units: which as in `decoder`.
    """
    config = small_config(model_type=model_type, layers=LAYERS.get(which, 2))
    weights, tokens = case_weights(case, config), case_tokens(case, config, 2, length)
    targets = case.integers("targets", (2, length), 0, config["vocab_size"])
    lora = _adapters(case, config, which, r, scale)
    _, got = subject.load(config, weights, lora=lora).loss_and_grads(tokens, targets)
    _, whole = case.once(loss_and_grads, config, _changed(weights, lora), tokens, targets)
    pairs: dict[str, Any] = {}
    for name, (A, B, _) in lora.items():
        dW = whole[f"{name}.weight"]
        for part, want in (("A", scale * B.astype(np.float64).T @ dW), ("B", scale * dW @ A.astype(np.float64).T)):
            key = f"{name}.lora_{part}.weight"
            pairs[key] = (np.asarray(got[key]) if key in got else np.zeros(want.shape, A.dtype), want)
    return Observation(adapters_without_gradient=sum(not np.any(pair[0]) for pair in pairs.values()), **pairs)


def _adapters(case: Case, config: dict[str, Any], which: str, r: int, scale: float) -> dict[str, Any]:
    pairs = adapter_pairs(case, config, adapter_layers(config, which), r)
    return {name: (A, B, scale) for name, (A, B) in pairs.items()}


def _changed(weights: dict[str, np.ndarray], lora: dict[str, Any]) -> dict[str, np.ndarray]:
    return {**weights, **{f"{name}.weight": _merged(weights[f"{name}.weight"], lora[name]) for name in lora}}


def _merged(weight: np.ndarray, adapter: tuple[np.ndarray, np.ndarray, float]) -> np.ndarray:
    A, B, scale = adapter
    wide_A, wide_B = _wide(A, B)
    return merge(weight.astype(np.float64), (wide_A, wide_B, scale))


def _wide(*arrays: np.ndarray) -> tuple[Any, ...]:
    return tuple(array.astype(np.float64) for array in arrays)


def _bytes(a: np.ndarray, b: np.ndarray) -> int:
    """Bytes in which two arrays differ; all of them if shape or dtype differs."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return max(a.nbytes, b.nbytes)
    left, right = (np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (a, b))
    return int((left != right).sum())
