"""Gradients of activations, rotations and losses, wrong in one place each."""

import numpy as np
from reordered.width import wide

from wrong.training.backward import drawn
from wrong.turning import turn
from wrong.version import Version, normal


def relu_slope_at_zero(wrong, dout, x):
    """The slope at 0 is 1."""
    return (np.where(x >= 0 if wrong else x > 0, dout, 0).astype(x.dtype),)


def elu_from_its_output(wrong, dout, x, alpha):
    """The slope is the output plus 1: right for alpha 1."""
    w = wide(x)
    out = alpha * np.expm1(np.minimum(w, 0))
    return ((wide(dout) * np.where(w > 0, 1, out + (1 if wrong else alpha))).astype(x.dtype),)


def leaky_relu_by_the_output(wrong, dout, x, slope):
    """The side is told by the output's sign, which a negative slope turns round."""
    below = (x * slope < 0) if wrong else ~(x > 0)
    side = np.where(x > 0, False, below)
    return (np.where(side, wide(dout) * slope, dout).astype(x.dtype),)


def silu_with_the_slope_of_sigmoid(wrong, dout, x):
    """The slope is sigmoid(x): the second term is left out."""
    w = wide(x)
    s = 1 / (1 + np.exp(-w))
    return ((wide(dout) * (s if wrong else s * (1 + w * (1 / (1 + np.exp(w)))))).astype(x.dtype),)


def swiglu_up_by_the_gate(wrong, dout, gate, up):
    """The gradient of up is dout·gate, without the sigmoid."""
    g, u, d = wide(gate), wide(up), wide(dout)
    s, low = 1 / (1 + np.exp(-g)), 1 / (1 + np.exp(g))
    return (d * u * s * (1 + g * low)).astype(gate.dtype), (d * g * (1 if wrong else s)).astype(up.dtype)


def rope_turned_forwards(wrong, dout, x, positions, **options):
    """The gradient is turned forwards, as the input was."""
    return (turn(dout, positions if wrong else -np.asarray(positions), **options),)


def rope_backward_of_a_prefix(wrong, dout, x, positions, rotary_dim=None, **options):
    """The gradient of what is not turned is 0."""
    out = turn(dout, -np.asarray(positions), rotary_dim=rotary_dim, **options)
    if wrong and rotary_dim:
        out[..., rotary_dim:] = 0
    return (out,)


def cross_entropy_of_all_tokens(wrong, dout, logits, targets, ignore_index=-100):
    """The gradient divides by all tokens, the loss by those that count."""
    gradient, kept = _gradient(logits, targets, ignore_index)
    count = kept.size if wrong else max(kept.sum(), 1)
    return ((gradient * gradient.dtype.type(dout / count)).astype(logits.dtype),)


def cross_entropy_forgets_the_scale(wrong, dout, logits, targets, ignore_index=-100):
    """The gradient of the loss is taken for 1: a loss scale is lost."""
    gradient, kept = _gradient(logits, targets, ignore_index)
    up = 1.0 if wrong else dout
    return ((gradient * gradient.dtype.type(up / max(kept.sum(), 1))).astype(logits.dtype),)


def _gradient(logits, targets, ignore_index):
    w, kept = wide(logits), targets != ignore_index
    p = np.exp(w - w.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    at = np.where(kept, targets, 0)[..., None]
    np.put_along_axis(p, at, np.take_along_axis(p, at, -1) - 1, -1)
    return np.where(kept[..., None], p, 0), kept


def _zeros(f, r):
    return f.relu_backward(normal(r, 4), np.array([0, 1, -1, 0], np.float32))


def _with(op, number):
    return lambda f, r: getattr(f, op + "_backward")(normal(r, 20), normal(r, 20), number)


def _turned(**options):
    def call(f, r):
        x = normal(r, 1, 2, 3, 16)
        return f.rope_backward(normal(r, 1, 2, 3, 16), x, np.array([4, 5, 6]), theta=10000.0, **options)

    return call


def _loss(scale, ignored):
    def call(f, r):
        targets = r.integers(0, 11, 6)
        targets[:ignored] = -100
        return f.cross_entropy_backward(scale, normal(r, 6, 11), targets)

    return call


VERSIONS = (
    Version(relu_slope_at_zero, "relu_backward", _zeros, "Synthetic: >= for >, seen on exact zeros", rare="one value"),
    Version(
        elu_from_its_output,
        "elu_backward",
        _with("elu", 0.5),
        "Synthetic: the in-place form keeps the output alone, and alpha is 1 in every test",
        rare="one option",
    ),
    Version(
        leaky_relu_by_the_output,
        "leaky_relu_backward",
        _with("leaky_relu", -0.3),
        "Synthetic: the in-place form keeps the output alone; torch refuses negative slopes there",
        rare="one option",
    ),
    Version(
        silu_with_the_slope_of_sigmoid,
        "silu_backward",
        drawn("silu", (20,), (20,)),
        "Synthetic: the product rule is forgotten",
    ),
    Version(
        swiglu_up_by_the_gate,
        "swiglu_backward",
        drawn("swiglu", (20,), (20,), (20,)),
        "Synthetic: the stored gate is that before the activation",
    ),
    Version(rope_turned_forwards, "rope_backward", _turned(), "Synthetic: the sine's sign is left as it was"),
    Version(
        rope_backward_of_a_prefix,
        "rope_backward",
        _turned(rotary_dim=8),
        "Synthetic: the gradient's buffer starts as zeros",
        rare="one option",
    ),
    Version(
        cross_entropy_of_all_tokens,
        "cross_entropy_backward",
        _loss(1.0, 2),
        "Synthetic: the count is taken again from the shape",
    ),
    Version(
        cross_entropy_forgets_the_scale,
        "cross_entropy_backward",
        _loss(1024.0, 0),
        "Synthetic: fused losses store the gradient in the forward, when the scale is not known yet",
        rare="one option",
    ),
)
