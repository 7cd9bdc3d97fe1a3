"""The eight kinds of GPU arithmetic, each as the eager torch candidate whose products, sums or functions are replaced.

A torch dispatch mode sees every operation below autograd, so the same kind applies to single ops, to their gradients
and to whole models, and no kernel is written twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import harness.candidates.torch as eager
import harness.candidates.torch_sdpa as fused
from reordered import gpu_functions as f
from reordered import gpu_sums as s
from reordered.replaced import Arithmetic, Flash, Table, Under


def products(product: s.Product) -> Table:
    """Every product of matrices and vectors by one function of batches, rounded to the inputs' type at the end."""

    def bmm(a: Tensor, b: Tensor) -> Tensor:
        return product(a, b).to(a.dtype)

    def mm(a: Tensor, b: Tensor) -> Tensor:
        return bmm(a[None], b[None])[0]

    def added(c: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        flat = a.ndim == 2
        out = product(a[None], b[None])[0] if flat else product(a, b)
        return ((out * alpha if alpha != 1 else out) + (c * beta if beta != 1 else c)).to(a.dtype)

    return {
        "bmm": bmm,
        "mm": mm,
        "addmm": added,
        "baddbmm": added,
        "mv": lambda a, x: mm(a, x[:, None])[:, 0],
        "dot": lambda x, y: mm(x[None], y[:, None])[0, 0],
    }


def elementwise(**functions: f.Function) -> Table:
    """Functions of one tensor: 16-bit numbers widened before, rounded once after."""

    def widened(function: f.Function) -> f.Function:
        return lambda x: function(x.to(s.accumulator(x))).to(x.dtype)

    return {name: widened(function) for name, function in functions.items()}


def sums(total: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> Table:
    def added(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        axes = (dim,) if isinstance(dim, int) else tuple(dim or ())
        return total(x if dtype is None else x.to(dtype), axes, keepdim).to(dtype or x.dtype)

    def mean(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        out = added(x, dim, keepdim, dtype=dtype or s.accumulator(x))
        return (out / (x.numel() / max(out.numel(), 1))).to(dtype or x.dtype)

    return {"sum": added, "mean": mean}


def softmaxes(softmax: f.Function) -> Table:
    def _softmax(x: Tensor, dim: int, half_to_float: bool) -> Tensor:
        return softmax(x.to(s.accumulator(x)), dim).to(torch.float32 if half_to_float else x.dtype)

    return {"_softmax": _softmax}


def _plain_sum(x: Tensor, axes: tuple[int, ...], keepdim: bool) -> Tensor:
    return x.sum(dim=axes, keepdim=keepdim)


def _activations(exp: f.Function, divide: f.Function) -> Table:
    sigmoid = f.sigmoid_by(exp, divide)
    return elementwise(exp=exp, sigmoid=sigmoid, silu=lambda x: x * sigmoid(x))


def _divided(a: Any, b: Any, **options: Any) -> Tensor:
    return torch.div(a, b, **options) if options else f.quotient(a, b)


TREE = {
    **products(s.tree_product),
    **sums(s.tree_sum),
    **softmaxes(f.softmax_by(torch.exp, s.tree_sum, torch.div)),
}
EXP2 = {**_activations(f.exp_by_exp2, torch.div), **softmaxes(f.online_softmax)}
RECIPROCAL = {
    "div": _divided,
    **elementwise(rsqrt=f.fast_rsqrt, sqrt=f.root, sigmoid=f.sigmoid_by(torch.exp, f.quotient)),
    **softmaxes(f.softmax_by(torch.exp, _plain_sum, f.quotient)),
}
_SIN, _COS = f.fast_turn(torch.sin), f.fast_turn(torch.cos)
FAST = {
    **products(s.fused_product),
    **_activations(f.fast_exp, f.quotient),
    **softmaxes(f.softmax_by(f.fast_exp, _plain_sum, f.quotient)),
    **elementwise(log=f.fast_log, sin=_SIN, cos=_COS, tanh=f.within(torch.tanh, 2), expm1=f.within(torch.expm1, 1)),
    **elementwise(erf=f.within(torch.erf, 2), erfc=f.within(torch.erfc, 4), special_erfc=f.within(torch.erfc, 4)),
    "polar": f.polar_by(_COS, _SIN),
}
TABLES: dict[str, Table] = {
    "sums in trees of 32": TREE,
    "split-K, 2 parts": products(s.split_product(2)),
    "split-K, 4 parts": products(s.split_product(4)),
    "split-K, 8 parts": products(s.split_product(8)),
    "tensor cores": products(s.tensor_core_product),
    "exp2, online softmax": EXP2,
    "reciprocals": RECIPROCAL,
    "fused multiply-add, fast-math": FAST,
}


class Float32Rope:
    """The eager candidate whose rotations are computed in float32: in float64 no intrinsic would be used."""

    rope, rope_backward = staticmethod(f.rope), staticmethod(f.rope_backward)

    def __getattr__(self, name: str) -> Any:
        return getattr(eager, name)


class FusedWhereItCan:
    """torch's fused attention, which becomes flash attention; models that the fused candidate lacks stay eager."""

    def load(self, config: Any, weights: Any, *, lora: Any = None, dtype: str, device: str) -> Any:
        module = fused if config["model_type"] in ("llama", "qwen2") else eager
        return module.load(config, weights, lora=lora, dtype=dtype, device=device)

    def __getattr__(self, name: str) -> Any:
        return getattr(fused, name)


def _kind(table: Table) -> Under:
    if table is EXP2:
        return Under(FusedWhereItCan(), lambda: [Arithmetic(table), Flash()])
    return Under(Float32Rope() if table is FAST else eager, lambda: [Arithmetic(table)])


KINDS = {name: _kind(table) for name, table in TABLES.items()}
