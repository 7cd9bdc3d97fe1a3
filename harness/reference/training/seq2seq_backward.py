"""Backward pass of the encoder-decoder transformer in causal mode: the gradient of every weight, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from harness.reference.ops.activations import gelu_tanh_backward
from harness.reference.ops.attention import attention_backward
from harness.reference.ops.linear import embedding_backward, linear_backward
from harness.reference.ops.losses import cross_entropy_backward, cross_entropy_forward
from harness.reference.ops.norm import layernorm_backward
from harness.reference.training.seq2seq import Tape, merge_heads, seq2seq_forward, split_heads
from harness.reference.training.seq2seq_weights import weight_shapes

Gradients = dict[str, np.ndarray]
Backward = Callable[[np.ndarray, Any], tuple[np.ndarray, np.ndarray, np.ndarray | None]]
Back = Callable[[np.ndarray, str, Backward], np.ndarray]


def seq2seq_loss_and_grads(
    config: Mapping[str, Any], weights: Mapping[str, np.ndarray], tokens: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, Gradients]:
    """Mean cross-entropy over the targets that are not -100, and its gradient for every weight.

    Shapes: tokens, targets (B, T) integers -> loss (), gradients by name in `weights()` order.
    Units:  nats per counted token.
    Raises: ValueError as `seq2seq_forward`, or if all targets are -100.
    """
    logits, tape = seq2seq_forward(config, weights, tokens)
    loss, cache = cross_entropy_forward(logits, np.asarray(targets))
    if not np.isfinite(loss):
        raise ValueError(f"loss: found {loss} over {np.sum(np.asarray(targets) != -100)} targets that count")
    return loss, seq2seq_backward(cross_entropy_backward(np.ones(()), cache), tape)


def seq2seq_backward(dlogits: np.ndarray, tape: Tape) -> Gradients:
    """Go back through the forward pass, module by module.

    Shapes: dlogits (B, T, V) -> a gradient per weight, of its shape, in `weights()` order; exactly zero
            for the encoder, the cross-attention, and the positions beyond T.
    """
    grads = {name: np.zeros(shape) for name, shape in weight_shapes(tape.model).items()}

    def back(dout: np.ndarray, name: str, backward: Backward) -> np.ndarray:
        """Store the gradients of a module's weight and bias; return the gradient of its input."""
        dx, grads[f"{name}.weight"], dbias = backward(dout, tape.caches[name])
        assert dbias is not None  # every linear layer of this model has one
        grads[f"{name}.bias"] = dbias
        return dx

    dx = back(dlogits, "lm_head", linear_backward)
    dx = back(dx, "decoder.layer_norm", layernorm_backward)
    for i in reversed(range(tape.model.decoder_layers)):
        layer = f"decoder.layers.{i}"
        dx = dx + _ffn_backward(dx, layer, tape, back)
        dx = dx + _attention_backward(dx, layer, tape, back)
    grads["decoder.embed_positions.weight"][: dx.shape[1]] = dx.sum(axis=0)
    grads["decoder.embed_tokens.weight"] = embedding_backward(dx, tape.caches["decoder.embed_tokens"])
    return grads


def _ffn_backward(dout: np.ndarray, layer: str, tape: Tape, back: Back) -> np.ndarray:
    """Gradient of fc2(gelu(fc1(norm(x)))) by x; the caller adds the residual's gradient."""
    dh = gelu_tanh_backward(back(dout, f"{layer}.fc2", linear_backward), tape.caches[f"{layer}.gelu"])
    return back(back(dh, f"{layer}.fc1", linear_backward), f"{layer}.final_layer_norm", layernorm_backward)


def _attention_backward(dout: np.ndarray, layer: str, tape: Tape, back: Back) -> np.ndarray:
    """Gradient of out_proj(attention(q, k, v)) by x; q, k and v all read norm(x), so their gradients are summed."""
    name = f"{layer}.self_attn"
    dheads = split_heads(back(dout, f"{name}.out_proj", linear_backward), tape.model.heads)
    dqkv = attention_backward(dheads, tape.caches[name])
    dh = sum(
        (back(merge_heads(d), f"{name}.{p}_proj", linear_backward) for p, d in zip("qkv", dqkv, strict=True)),
        start=np.zeros_like(dout),
    )
    return back(dh, f"{layer}.self_attn_layer_norm", layernorm_backward)
