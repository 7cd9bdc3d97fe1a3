"""Backward passes of softmax and attention that were written wrong: system C's list (C2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.falsifiers.baselines.width import widened
from harness.mutant import Inapplicable, mutant, replace

Gradients = tuple[Tensor, Tensor, Tensor]


@mutant
def scale_missing_in_ds(baseline: Any) -> Any:
    """dQ and dK without the 1/sqrt(D) of the scores (systems C2)."""

    def attention_backward(dout: Tensor, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Gradients:
        dq, dk, dv = baseline.attention_backward(dout, q, k, v, **options)
        return dq * q.shape[-1] ** 0.5, dk * q.shape[-1] ** 0.5, dv

    return replace(baseline, attention_backward=attention_backward)


@mutant
def scale_applied_twice(baseline: Any) -> Any:
    """The scale multiplies dS, and again dQ and dK.
    Synthetic: dS and the two products are written apart, and each takes the scale for its own task."""

    def attention_backward(dout: Tensor, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Gradients:
        dq, dk, dv = baseline.attention_backward(dout, q, k, v, **options)
        return dq * q.shape[-1] ** -0.5, dk * q.shape[-1] ** -0.5, dv

    return replace(baseline, attention_backward=attention_backward)


@mutant
def dk_transposed(baseline: Any) -> Any:
    """dK = dS Q for dS^T Q: the shapes fit when there are as many keys as queries (systems C2)."""
    return _steps(baseline, dk=lambda ds, q: ds @ q)


@mutant
def dv_transposed(baseline: Any) -> Any:
    """dV = P dO for P^T dO. Synthetic: P is square in self-attention, so that no shape shows the missing transpose."""
    return _steps(baseline, dv=lambda p, dout: p @ dout)


@mutant
def row_sum_missing(baseline: Any) -> Any:
    """dS = P * dP: the softmax Jacobian's diagonal alone (systems C2)."""
    return _steps(baseline, ds=lambda p, dp: p * dp)


@mutant
def row_sum_over_queries(baseline: Any) -> Any:
    """The sum of P * dP is taken down the columns.
    Synthetic: an axis is off by one, and the sum broadcasts as well where scores are square."""
    return _steps(baseline, ds=lambda p, dp: p * (dp - (p * dp).sum(dim=-2, keepdim=True)))


@mutant
def mask_missing_in_backward(baseline: Any) -> Any:
    """The probabilities are computed again without the causal mask.
    Synthetic: a backward that recomputes scores needs the forward's mask, which is a separate argument."""
    return _steps(baseline, masked=False)


@mutant
def kv_gradient_of_last_head(baseline: Any) -> Any:
    """Each query head of a group overwrites dK and dV of its key/value head, where it should add.
    Synthetic: the kernel is written for equal head counts, where one store is enough."""
    return _steps(baseline, gather=lambda heads: heads[:, :, -1])


@mutant
def kv_gradient_averaged(baseline: Any) -> Any:
    """dK and dV are the mean over a group's query heads, where they are the sum.
    Synthetic: heads that were repeated are reduced with a mean, as a copy seems to ask for."""
    return _steps(baseline, gather=lambda heads: heads.mean(dim=2))


@mutant
def softmax_row_sum_missing(baseline: Any) -> Any:
    """dx = p * dout: the diagonal of the Jacobian alone (systems C2)."""

    def softmax_backward(dout: Tensor, x: Tensor) -> Tensor:
        return (torch.softmax(widened(x), dim=-1) * dout).to(x.dtype)

    return replace(baseline, softmax_backward=softmax_backward)


@mutant
def softmax_derivative_of_sigmoid(baseline: Any) -> Any:
    """dx = p * (1 - p) * dout, as if every element were alone (deeplearning4j/libnd4j#440)."""

    def softmax_backward(dout: Tensor, x: Tensor) -> Tensor:
        p = torch.softmax(widened(x), dim=-1)
        return (p * (1 - p) * dout).to(x.dtype)

    return replace(baseline, softmax_backward=softmax_backward)


@mutant
def softmax_row_sum_of_dout(baseline: Any) -> Any:
    """The sum that is subtracted lacks its weights: p * (dout - sum(dout)).
    Synthetic: log-softmax's backward has a plain sum of dout, and the two are easily mixed up."""

    def softmax_backward(dout: Tensor, x: Tensor) -> Tensor:
        p = torch.softmax(widened(x), dim=-1)
        return (p * (dout - widened(dout).sum(dim=-1, keepdim=True))).to(x.dtype)

    return replace(baseline, softmax_backward=softmax_backward)


def _steps(baseline: Any, *, masked: bool = True, gather: Any = None, **wrong: Callable[..., Tensor]) -> Any:
    """The five steps with some of them exchanged; right when none is (tests/ops/test_gradients.py)."""
    gather = gather or (lambda heads: heads.sum(dim=2))
    step = {
        "dv": lambda p, dout: p.mT @ dout,
        "ds": lambda p, dp: p * (dp - (p * dp).sum(dim=-1, keepdim=True)),
        "dk": lambda ds, q: ds.mT @ q,
        **wrong,
    }

    def attention_backward(
        dout: Tensor, q: Tensor, k: Tensor, v: Tensor, *, causal: bool = True, offset: int = 0
    ) -> Gradients:
        square = q.shape[2] == k.shape[2] > 1
        if not square and {"dk", "dv"} & set(wrong):
            raise Inapplicable("the shapes fit only when there are as many keys as queries, and more than one")
        if not masked and not causal:
            raise Inapplicable("there is no mask to miss")
        scale, kv_heads = q.shape[-1] ** -0.5, k.shape[1]
        wide_q, wide_dout = (widened(x).unflatten(1, (kv_heads, -1)) for x in (q, dout))
        wide_k, wide_v = widened(k)[:, :, None], widened(v)[:, :, None]
        scores = scale * (wide_q @ wide_k.mT)
        if causal and masked:
            hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(offset + 1)
            scores = scores.masked_fill(hidden, float("-inf"))
        p = torch.softmax(scores, dim=-1)
        ds = scale * step["ds"](p, wide_dout @ wide_v.mT)
        dq = (ds @ wide_k).flatten(1, 2)
        dk, dv = gather(step["dk"](ds, wide_q)), gather(step["dv"](p, wide_dout))
        return dq.to(q.dtype), dk.to(k.dtype), dv.to(v.dtype)

    return replace(baseline, attention_backward=attention_backward)
