"""Falsifiers of a gated-delta-net layer's gradients, and of its saved activations between calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.model.gdn_layer import Arrays, Config, adapters, inputs, layer, states
from harness.observation import Observation
from harness.reference.model.gated_delta_net import gated_delta_net_backward, gated_delta_net_forward

MEASURES = {
    "without_gradient": "number of adapter matrices whose gradient is missing or all zeros",
    "unmoved": "number of adapter matrices that a step of gradient descent does not change in any byte",
    "plain_differs": "bytes in which a plain call after one with adapters differs from a plain call on a new layer",
}
STEP = 1e-6


def gradients(subject: Any, case: Case, *, key_heads: int, per_key: int, length: int) -> Observation:
    """Gradients of the input, of every weight and of all ten adapter matrices, from states that are not zero.

    Shapes: x, dout (2, length, 24); one pair per tensor, in its shape.
    """
    config, weights = layer(case, key_heads, per_key)
    x, given = inputs(case, config, length), states(case, config)
    lora, dout = adapters(case, weights), case.normal("dout", x.shape)
    want = case.once(_gradients, x, weights, config, dout, lora, given)
    dx, got = subject.gated_delta_net_grads(x, weights, config, dout, lora=lora, **given)
    matrices = [name for name in want if ".lora_" in name]
    pairs: dict[str, Any] = {name: (_of(got, name, w), w) for name, w in want.items() if name != "x"}
    named = _named(lora)
    moved = [named[name] - np.asarray(1e-2, named[name].dtype) * pairs[name][0] for name in matrices]
    return Observation(
        x=(dx, want["x"]),
        without_gradient=sum(not np.any(pairs[name][0]) for name in matrices),
        unmoved=sum(w.tobytes() == named[name].tobytes() for name, w in zip(matrices, moved, strict=True)),
        **pairs,
    )


def slopes(subject: Any, case: Case, *, key_heads: int, per_key: int, length: int) -> Observation:
    """Gradients of adapters and input are slopes of the subject's own output; this needs no reference.

    Per tensor three probes: the entry of the largest gradient, a random entry, and a random direction.
    Shapes: one pair (3,) per adapter matrix, and one for the input.
    """
    config, weights = layer(case, key_heads, per_key)
    x, given = inputs(case, config, length), states(case, config)
    lora, dout = adapters(case, weights), case.normal("dout", x.shape)
    dx, got = subject.gated_delta_net_grads(x, weights, config, dout, lora=lora, **given)
    named = {"x": x, **_named(lora)}

    def loss(moved: Arrays) -> float:
        at = {**named, **moved}
        changed = {n: (at[f"{n}.lora_A.weight"], at[f"{n}.lora_B.weight"], s) for n, (_, _, s) in lora.items()}
        out, _, _ = subject.gated_delta_net(at["x"], weights, config, lora=changed, **given)
        return float(np.sum(out * dout))

    def slope(name: str, d: np.ndarray) -> float:
        return (loss({name: named[name] + STEP * d}) - loss({name: named[name] - STEP * d})) / (2 * STEP)

    pairs: dict[str, Any] = {}
    for name, tensor in named.items():
        claimed = dx if name == "x" else _of(got, name, tensor)
        probes = _probes(case, name, claimed)
        pairs[name] = (
            np.array([np.sum(claimed * d) for d in probes]) / np.linalg.norm(claimed),
            np.array([slope(name, d) for d in probes]) / np.linalg.norm(claimed),
        )
    return Observation(**pairs)


def saved_activations(subject: Any, case: Case, *, key_heads: int, per_key: int, length: int) -> Observation:
    """Reusing saved activations of a call with adapters in a plain call gives the same bits as new ones.

    Shapes: out and dx (2, length, 24), every weight's gradient; all are also compared with the reference.
    """
    config, weights = layer(case, key_heads, per_key)
    x, dout = inputs(case, config, length), case.normal("dout", (2, length, config["hidden_size"]))
    want = case.once(_gradients, x, weights, config, dout, {}, {})
    fresh, used = (subject.load_gated_delta_net(config, weights) for _ in range(2))
    out, saved = fresh.forward(x)
    dx, grads = fresh.backward(dout, saved)
    _, reused = used.forward(x, lora=adapters(case, weights))
    used.backward(dout, reused)
    again, reused = used.forward(x, saved=reused)
    dx_again, grads_again = used.backward(dout, reused)
    got = {"x": dx_again, **{name: _of(grads_again, name, w) for name, w in want.items() if name != "x"}}
    extra = sum(np.asarray(grads_again[name]).nbytes for name in grads_again if name not in want)
    differs = [
        _bytes(again, out),
        _bytes(dx_again, dx),
        *(_bytes(got[n], _of(grads, n, want[n])) for n in want if n != "x"),
    ]
    pairs: dict[str, Any] = {f"d {name}": (got[name], w) for name, w in want.items()}
    return Observation(plain_differs=sum(differs) + extra, **pairs)


def _gradients(
    x: np.ndarray, weights: Arrays, config: Config, dout: np.ndarray, lora: dict[str, Any], given: dict[str, Any]
) -> Arrays:
    _, _, _, cache = gated_delta_net_forward(x, weights, config, lora=lora, **given)
    dx, grads, _, _ = gated_delta_net_backward(dout.astype(np.float64), cache)
    return {"x": dx, **grads}


def _named(lora: dict[str, Any]) -> Arrays:
    return {f"{n}.lora_{part}.weight": pair[i] for n, pair in lora.items() for i, part in enumerate("AB")}


def _of(grads: Any, name: str, like: np.ndarray) -> np.ndarray:
    """A gradient by name; zeros if it is missing, which `without_gradient` counts."""
    return np.asarray(grads[name]) if name in grads else np.zeros(like.shape, dtype=like.dtype)


def _probes(case: Case, name: str, gradient: np.ndarray) -> list[np.ndarray]:
    stream = case.stream(f"probes of {name}")
    single = [np.zeros(gradient.shape) for _ in range(2)]
    single[0].flat[np.abs(gradient).argmax()] = 1
    single[1].flat[stream.integers(gradient.size)] = 1
    return [*single, stream.standard_normal(gradient.shape)]


def _bytes(a: np.ndarray, b: np.ndarray) -> int:
    """Bytes in which two arrays differ; all of them if shape or dtype differs."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return max(a.nbytes, b.nbytes)
    left, right = (np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (a, b))
    return int((left != right).sum())
