"""Correct activations through other identities."""

from types import SimpleNamespace

import numpy as np
import torch

from reordered.width import in_float64, wide


def _sigmoid(w):
    return w.dtype.type(0.5) + w.dtype.type(0.5) * np.tanh(w * w.dtype.type(0.5))


def elementwise(function):
    """A function of wide arrays and plain numbers as an op: widened before, rounded once after."""

    def op(x, *rest):
        w = wide(x)
        rest = (wide(a) if isinstance(a, np.ndarray) else w.dtype.type(a) for a in rest)
        with np.errstate(over="ignore"):
            return function(w, *rest).astype(x.dtype)

    return op


def gelu_by_erf(x):
    w = x.double() if x.dtype == torch.float64 else x.float()
    return (0.5 * w * (1 + torch.special.erf(w * 0.5**0.5))).to(x.dtype)


def gelu_in_float64(x):
    return (0.5 * x.double() * torch.special.erfc(-x.double() * 0.5**0.5)).to(x.dtype)


def numpy_gelu_tanh(w):
    u = w.dtype.type((2 / np.pi) ** 0.5) * (w + w.dtype.type(0.044715) * w**3)
    return w.dtype.type(0.5) * w * (1 + np.tanh(u))


def elu_by_tanh(w, alpha):
    """expm1(x) = 2 t / (1 - t) with t = tanh(x / 2)."""
    t = np.tanh(np.minimum(w, 0) * w.dtype.type(0.5))
    return np.where(w > 0, w, alpha * 2 * t / (1 - t))


def tanh_by_expm1(w):
    e = np.expm1(-2 * np.abs(w))
    return np.copysign(e / (2 + e), w)


def named(op, **kernels):
    """Kernels of one elementwise op under their names, and one more that is float64 inside."""
    first = next(iter(kernels.values()))
    kernels = {name: elementwise(function) for name, function in kernels.items()}
    kernels["float64 inside"] = in_float64(elementwise(first))
    return {name.replace("_", " "): SimpleNamespace(**{op: kernel}) for name, kernel in kernels.items()}


KERNELS = {
    "gelu": {
        "torch, by erf": SimpleNamespace(ARRAYS="torch", gelu=gelu_by_erf),
        "float64 inside": SimpleNamespace(ARRAYS="torch", gelu=gelu_in_float64),
    },
    "gelu_tanh": named("gelu_tanh", numpy=numpy_gelu_tanh),
    "silu": named("silu", by_tanh=lambda w: w * _sigmoid(w), one_division=lambda w: w / (1 + np.exp(-w))),
    "relu": named("relu", maximum=lambda w: np.maximum(w, 0), select=lambda w: np.where(w <= 0, w.dtype.type(0), w)),
    "leaky_relu": named(
        "leaky_relu",
        where=lambda w, slope: np.where(w >= 0, w, slope * w),
        sum=lambda w, slope: np.maximum(w, 0) + slope * np.minimum(w, 0),
    ),
    "elu": named(
        "elu",
        numpy=lambda w, alpha: np.where(w > 0, w, alpha * np.expm1(np.minimum(w, 0))),
        by_tanh=elu_by_tanh,
    ),
    "sigmoid": named("sigmoid", by_tanh=_sigmoid, one_division=lambda w: 1 / (1 + np.exp(-w))),
    "tanh": named("tanh", numpy=np.tanh, by_expm1=tanh_by_expm1),
    "swiglu": named(
        "swiglu",
        by_tanh=lambda gate, up: gate * _sigmoid(gate) * up,
        up_first=lambda gate, up: gate * up / (1 + np.exp(-gate)),
    ),
}
