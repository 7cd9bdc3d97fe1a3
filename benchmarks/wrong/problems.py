"""One conventional problem of each op: the size and the normal inputs that a unit test or a kernel benchmark takes."""

from __future__ import annotations

from functools import partial

import numpy as np

from wrong.models import adapters, decoding, delta_net, exports
from wrong.training import clipping, optimizers, schedules
from wrong.version import normal

ELEMENTWISE = ("sigmoid", "silu", "tanh", "gelu", "gelu_tanh", "relu")
THETA = 10000.0


def _elementwise(op, f, r):
    return getattr(f, op)(normal(r, 128, 1024))


def _backward(op, *shapes, end=()):
    """The gradient of an op on normal inputs: dout, the inputs, and what follows them."""
    return lambda f, r: getattr(f, f"{op}_backward")(*(normal(r, *shape) for shape in shapes), *end)


def _loss_backward(f, r):
    return f.cross_entropy_backward(1.0, normal(r, 4, 128, 1000), r.integers(0, 1000, (4, 128)))


def _labels(r, *shape):
    return r.integers(0, 2, shape).astype(np.float32)


def _uniform(r, *shape):
    return r.uniform(size=shape).astype(np.float32)


def _quantized(f, r):
    x = normal(r, 64, 256)
    packed = {kind: f.quantize(x, kind) for kind in ("BF16", "Q8_0", "Q4_0")}
    return packed, {kind: f.dequantize(data, kind) for kind, data in packed.items()}


HEADS, ROWS, BATCHED = (2, 8, 128, 64), (128, 1024), (4, 32, 256)
FORWARD = {
    "rmsnorm": lambda f, r: f.rmsnorm(normal(r, *ROWS), normal(r, 1024), 1e-6),
    "layernorm": lambda f, r: f.layernorm(normal(r, *ROWS), normal(r, 1024), normal(r, 1024), 1e-5),
    "l2norm": lambda f, r: f.l2norm(normal(r, 128, 128), 1e-6),
    "softmax": lambda f, r: f.softmax(normal(r, *ROWS)),
    "attention": lambda f, r: f.attention(*(normal(r, *HEADS) for _ in range(3))),
    "rope": lambda f, r: f.rope(normal(r, *HEADS), np.arange(128), theta=THETA),
    **{op: partial(_elementwise, op) for op in ELEMENTWISE},
    "leaky_relu": lambda f, r: f.leaky_relu(normal(r, *ROWS), 0.01),
    "elu": lambda f, r: f.elu(normal(r, *ROWS), 1.0),
    "swiglu": lambda f, r: f.swiglu(normal(r, *ROWS), normal(r, *ROWS)),
    "linear": lambda f, r: f.linear(normal(r, 128, 512), normal(r, 256, 512), normal(r, 256)),
    "matmul": lambda f, r: f.matmul(normal(r, 128, 256), normal(r, 256, 128)),
    "embedding": lambda f, r: f.embedding(r.integers(0, 1000, (4, 128)), normal(r, 1000, 64)),
    "cross_entropy": lambda f, r: f.cross_entropy(normal(r, 4, 128, 1000), r.integers(0, 1000, (4, 128))),
    "weighted_bce": lambda f, r: f.weighted_bce(normal(r, 512), _labels(r, 512), _uniform(r, 512)),
    "argmax": lambda f, r: f.argmax(normal(r, *ROWS)),
    "top_k": lambda f, r: f.top_k(normal(r, *ROWS), 8),
    "quantize": _quantized,
}
BACKWARD = {
    "linear": _backward("linear", (4, 32, 128), BATCHED, (128, 256), (128,)),
    "matmul": _backward("matmul", (128, 64), (128, 256), (256, 64)),
    "embedding": lambda f, r: f.embedding_backward(
        normal(r, 4, 128, 64), r.integers(0, 1000, (4, 128)), normal(r, 1000, 64)
    ),
    "rmsnorm": _backward("rmsnorm", ROWS, ROWS, (1024,), end=(1e-6,)),
    "layernorm": _backward("layernorm", ROWS, ROWS, (1024,), (1024,), end=(1e-5,)),
    "l2norm": _backward("l2norm", (128, 128), (128, 128), end=(1e-6,)),
    "softmax": _backward("softmax", ROWS, ROWS),
    "relu": _backward("relu", ROWS, ROWS),
    "silu": _backward("silu", ROWS, ROWS),
    "elu": _backward("elu", ROWS, ROWS, end=(1.0,)),
    "leaky_relu": _backward("leaky_relu", ROWS, ROWS, end=(0.01,)),
    "swiglu": _backward("swiglu", ROWS, ROWS, ROWS),
    "rope": lambda f, r: f.rope_backward(normal(r, *HEADS), normal(r, *HEADS), np.arange(128), theta=THETA),
    "attention": _backward("attention", HEADS, HEADS, HEADS, HEADS),
    "cross_entropy": _loss_backward,
}
MODELS = {
    "adamw_step": optimizers.stepped(512, 512),
    "clip_gradients": clipping.clipped((128, 256)),
    "accumulator": clipping.averaged(4),
    "lr_at": schedules.scheduled(),
    "gated_delta_net": delta_net.layer_call(length=64),
    "lora": adapters.trained_adapter,
    "decoder": decoding.conventional,
    "export_gguf": exports.exported(),
}
PROBLEMS = {**FORWARD, **MODELS, **{f"{op}_backward": problem for op, problem in BACKWARD.items()}}
"""Op -> call on inputs drawn from a normal distribution, float32."""
