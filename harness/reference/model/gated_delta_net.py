"""A gated-delta-net layer: projections, short convolution, gates, delta rule, gated norm, output projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.reference.adapters.lora import Adapter, lora_linear_backward, lora_linear_forward
from harness.reference.model.causal_conv import causal_conv_backward, causal_conv_forward
from harness.reference.model.delta_rule import delta_rule_backward, delta_rule_forward
from harness.reference.model.gated_delta_net_config import GatedDeltaNetConfig, check_weights, parse_config
from harness.reference.ops.activations import sigmoid_backward, sigmoid_forward, silu_backward, silu_forward
from harness.reference.ops.norm import l2norm_backward, l2norm_forward, rmsnorm_backward, rmsnorm_forward
from harness.reference.precision import wide

Adapters = Mapping[str, Adapter]
Gradients = dict[str, np.ndarray]
LENGTH_EPS = 1e-6
"""The eps of the L2 norms of q and k; rms_norm_eps does not set it."""


def gated_delta_net_forward(
    x: np.ndarray,
    weights: Mapping[str, np.ndarray],
    config: Mapping[str, Any] | GatedDeltaNetConfig,
    *,
    state: np.ndarray | None = None,
    conv_state: np.ndarray | None = None,
    lora: Adapters | None = None,
    real: np.ndarray | None = None,
    chunk: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[Any, ...]]:
    """Run one layer over T tokens; read and return its state and its convolution's last inputs.

    q, k, v = silu(conv(x W_qkv)); beta = sigmoid(x W_b); g = -exp(A_log) softplus(x W_a + dt_bias);
    out = (rmsnorm(delta_rule(q / |q| / sqrt(Dk), k / |k|, v, g, beta)) silu(x W_z)) W_out.

    Shapes: x (B, T, H), state (B, Hv, Dk, Dv), conv_state (B, 2 Kd + Vd, K - 1), real (B, T), False on a row's
            left padding -> out (B, T, H), state, conv_state, cache.
    Units:  lora maps a projection's name to (A, B, scale); chunk as `delta_rule_forward`.
    Raises: ValueError naming the tensor whose shape does not fit, or an adapter whose name is not a projection.
    Source: transformers' Qwen3_5GatedDeltaNet; arXiv:2412.06464.
    """
    model = config if isinstance(config, GatedDeltaNetConfig) else parse_config(config)
    w = {name: wide(tensor) for name, tensor in weights.items()}
    check_weights(model, w, lora or {})
    x = wide(x) if real is None else wide(x) * real[..., None]
    ports = {n: lora_linear_forward(x, w[f"{n}.weight"], (lora or {}).get(n)) for n in model.inputs}
    mixed, conv_state, conv = causal_conv_forward(ports["in_proj_qkv"][0], w["conv1d.weight"][:, 0], conv_state)
    active, silu = silu_forward(mixed)
    q, k, v = model.split(active)
    (q, q_length), (k, k_length) = l2norm_forward(q, LENGTH_EPS), l2norm_forward(k, LENGTH_EPS)
    beta, gate = sigmoid_forward(ports["in_proj_b"][0])
    step = ports["in_proj_a"][0] + w["dt_bias"]
    rate = -np.exp(w["A_log"])
    g = rate * np.logaddexp(0, step)
    scale = model.key_dim**-0.5
    core, state, rule = delta_rule_forward(
        model.repeat(q) * scale, model.repeat(k), v, g, beta, wide(state) if state is not None else None, chunk=chunk
    )
    normed, norm = rmsnorm_forward(core, w["norm.weight"], model.eps)
    opened, swish = silu_forward(ports["in_proj_z"][0].reshape(v.shape))
    out, port = lora_linear_forward(
        (normed * opened).reshape(*x.shape[:2], -1), w["out_proj.weight"], (lora or {}).get("out_proj")
    )
    caches = {name: cache for name, (_, cache) in ports.items()} | {"out_proj": port}
    inner = (conv, silu, q_length, k_length, gate, step, rate, g, rule, norm, normed, opened, swish)
    return out, state, conv_state, (model, caches, inner, real)


def gated_delta_net_backward(
    dout: np.ndarray,
    cache: tuple[Any, ...],
    dstate: np.ndarray | None = None,
    dconv_state: np.ndarray | None = None,
) -> tuple[np.ndarray, Gradients, np.ndarray, np.ndarray]:
    """Gradients of every weight, of every adapter matrix in use, of the input, and of the initial states.

    Shapes: dout (B, T, H), dstate and dconv_state of the final states -> dx (B, T, H), {name: gradient}, dstate,
            dconv_state of the initial states. Adapter names look like `in_proj_qkv.lora_A.weight`.
    """
    model, caches, inner, real = cache
    conv, silu, q_length, k_length, gate, step, rate, g, rule, norm, normed, opened, swish = inner
    grads: Gradients = {}
    dgated = _port("out_proj", dout, caches, grads).reshape(normed.shape)
    dz = silu_backward(dgated * normed, swish)
    dcore, grads["norm.weight"] = rmsnorm_backward(dgated * opened, norm)
    dq, dk, dv, dg, dbeta, dstate = delta_rule_backward(dcore, dstate, rule)
    dq = l2norm_backward(model.gather(dq) * model.key_dim**-0.5, q_length)
    dk = l2norm_backward(model.gather(dk), k_length)
    dmixed, dconv, dconv_state = causal_conv_backward(silu_backward(model.join(dq, dk, dv), silu), conv, dconv_state)
    grads["conv1d.weight"] = dconv[:, None]
    dstep = dg * rate * sigmoid_forward(step)[0]
    grads["dt_bias"] = dstep.sum(axis=(0, 1))
    grads["A_log"] = (dg * g).sum(axis=(0, 1))
    arrived = {
        "in_proj_qkv": dmixed,
        "in_proj_z": dz.reshape(*dz.shape[:2], -1),
        "in_proj_b": sigmoid_backward(dbeta, gate),
        "in_proj_a": dstep,
    }
    dx = np.sum([_port(name, arrived[name], caches, grads) for name in model.inputs], axis=0)
    return dx if real is None else dx * real[..., None], grads, dstate, dconv_state


def _port(name: str, dout: np.ndarray, caches: Mapping[str, Any], grads: Gradients) -> np.ndarray:
    dx, grads[f"{name}.weight"], dA, dB = lora_linear_backward(dout, caches[name])
    if dA is not None and dB is not None:
        grads[f"{name}.lora_A.weight"], grads[f"{name}.lora_B.weight"] = dA, dB
    return dx
