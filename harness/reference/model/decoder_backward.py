"""Backward pass of a Qwen2 or Llama decoder in float64, written out by hand from the last stage to the first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.reference.model.decoder import decoder_forward
from harness.reference.model.decoder_config import DecoderConfig, parse_config
from harness.reference.ops.activations import swiglu_backward, swiglu_forward
from harness.reference.ops.attention import attention_backward
from harness.reference.ops.linear import embedding_backward, linear_backward
from harness.reference.ops.losses import cross_entropy_backward, cross_entropy_forward
from harness.reference.ops.norm import rmsnorm_backward, rmsnorm_forward
from harness.reference.ops.rope import rope_backward, rope_forward

Arrays = Mapping[str, np.ndarray]
Gradients = dict[str, np.ndarray]


def loss_and_grads(
    config: Mapping[str, Any], weights: Arrays, tokens: np.ndarray, targets: np.ndarray
) -> tuple[float, Gradients]:
    """Mean cross-entropy of the next token, and its gradient by every tensor, in the order of `weights`.

    Shapes: tokens (B, T), targets (B, T), each token's successor, -100 where ignored
            -> float, each gradient shaped as its tensor.
    Units:  nats per counted token. A tied head adds its gradient to the embedding's.
    Raises: ValueError as `decoder_forward`, or if a target is out of range or all are -100.
    """
    _, stages = decoder_forward(config, weights, tokens)
    loss, cache = cross_entropy_forward(stages["logits"], np.asarray(targets))
    if np.isnan(loss) and np.all(np.asarray(targets) == -100):
        raise ValueError(f"targets: found {np.size(targets)} of them, all -100; expected at least one that counts")
    dlogits = cross_entropy_backward(np.ones(()), cache)
    gradients = decoder_backward(config, weights, tokens, stages, dlogits)
    return float(loss), {name: gradients[name] for name in weights}


def decoder_backward(
    config: Mapping[str, Any],
    weights: Arrays,
    tokens: np.ndarray,
    stages: Arrays,
    dlogits: np.ndarray,
    adjoints: list[np.ndarray] | None = None,
) -> Gradients:
    """Gradients by every tensor, from the stages that `decoder_forward` returned.

    Shapes: stages as in `stage_names`, dlogits (B, T, V) -> by tensor name, shaped as the tensor; a list given as
            `adjoints` receives layers + 1 arrays (B, T, C): by the embedded tokens, then by each layer's output.
    """
    model = parse_config(config)
    wide = {name: np.asarray(tensor, dtype=np.float64) for name, tensor in weights.items()}
    head = "model.embed_tokens.weight" if model.tied else "lm_head.weight"
    dx, dhead, _ = linear_backward(dlogits, (stages["final_norm"], wide[head], None))
    last = stages[f"layers.{model.layers - 1}.mlp_residual"]
    dx, dgain = rmsnorm_backward(dx, rmsnorm_forward(last, wide["model.norm.weight"], model.eps)[1])
    gradients = {"model.norm.weight": dgain}
    seen = [dx]
    for i in reversed(range(model.layers)):
        dx = _layer(model, wide, stages, i, dx, gradients)
        seen.append(dx)
    if adjoints is not None:
        adjoints.extend(reversed(seen))
    dembedding = embedding_backward(dx, (tokens, model.vocab))
    gradients["model.embed_tokens.weight"] = dembedding
    gradients[head] = dembedding + dhead if model.tied else dhead
    return gradients


def _layer(
    model: DecoderConfig, weights: Arrays, stages: Arrays, i: int, dout: np.ndarray, gradients: Gradients
) -> np.ndarray:
    """dout (B, T, C), by the layer's output -> by its input; the layer's tensors are added to `gradients`."""

    def at(name: str) -> np.ndarray:
        return stages[f"layers.{i}.{name}"]

    def linear(name: str, dout: np.ndarray, x: np.ndarray) -> np.ndarray:
        weight, bias = f"model.layers.{i}.{name}.weight", f"model.layers.{i}.{name}.bias"
        dx, gradients[weight], dbias = linear_backward(dout, (x, weights[weight], weights.get(bias)))
        if dbias is not None:
            gradients[bias] = dbias
        return dx

    def norm(name: str, dout: np.ndarray, x: np.ndarray) -> np.ndarray:
        name = f"model.layers.{i}.{name}.weight"
        # rmsnorm_backward needs 1/rms of each row, which is not a stage; it is cheaper to recompute than to store.
        dx, gradients[name] = rmsnorm_backward(dout, rmsnorm_forward(x, weights[name], model.eps)[1])
        return dx

    dact = linear("mlp.down_proj", dout, at("mlp_act"))
    dgate, dup = swiglu_backward(dact, swiglu_forward(at("gate_proj"), at("up_proj"))[1])
    dh = linear("mlp.gate_proj", dgate, at("post_norm")) + linear("mlp.up_proj", dup, at("post_norm"))
    dx = dout + norm("post_attention_layernorm", dh, at("attn_residual"))

    dattn = linear("self_attn.o_proj", dx, at("attn"))
    dq, dk, dv = _attention(model, stages, i, dattn)
    dh = linear("self_attn.q_proj", dq, at("input_norm"))
    dh = dh + linear("self_attn.k_proj", dk, at("input_norm")) + linear("self_attn.v_proj", dv, at("input_norm"))
    before = stages["embed"] if i == 0 else stages[f"layers.{i - 1}.mlp_residual"]
    return dx + norm("input_layernorm", dh, before)


def _attention(
    model: DecoderConfig, stages: Arrays, i: int, dout: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dout (B, T, H*D) -> dq (B, T, H*D), dk and dv (B, T, KV*D), before their rotations."""
    B, T, _ = dout.shape

    def heads(x: np.ndarray) -> np.ndarray:
        return x.reshape(B, T, -1, model.head_dim).swapaxes(1, 2)

    def flat(x: np.ndarray) -> np.ndarray:
        return x.swapaxes(1, 2).reshape(B, T, -1)

    q, k, v = stages[f"layers.{i}.rope_q"], stages[f"layers.{i}.rope_k"], heads(stages[f"layers.{i}.v_proj"])
    kept = (q, k, v, stages[f"layers.{i}.probs"], 1 / math.sqrt(model.head_dim))
    dq, dk, dv = attention_backward(heads(dout), kept)
    _, turns = rope_forward(k[:1, :1], np.arange(T), theta=model.theta)
    return flat(rope_backward(dq, turns)), flat(rope_backward(dk, turns)), flat(dv)
