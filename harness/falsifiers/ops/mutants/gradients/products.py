"""Backward passes of products and look-ups that were written wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace


@mutant
def bias_gradient_of_last_row(baseline: Any) -> Any:
    """dbias is overwritten row by row, where it should be summed (systems C2)."""

    def linear_backward(dout: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, ...]:
        return (*_linear(baseline, dout, x, weight, bias)[:2], dout.flatten(0, -2)[-1].clone())

    return replace(baseline, linear_backward=linear_backward)


@mutant
def bias_gradient_of_first_batch(baseline: Any) -> Any:
    """dbias is summed over the rows of the first batch alone: the batch axis is forgotten (mlpack/mlpack#3679)."""

    def linear_backward(dout: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, ...]:
        return (*_linear(baseline, dout, x, weight, bias)[:2], dout[0].sum(dim=0))

    return replace(baseline, linear_backward=linear_backward)


@mutant
def bias_gradient_averaged(baseline: Any) -> Any:
    """dbias is the mean over the rows, where it is the sum (kvfrans/notes#5)."""

    def linear_backward(dout: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, ...]:
        dx, dweight, dbias = _linear(baseline, dout, x, weight, bias)
        return dx, dweight, dbias / dout[..., 0].numel()

    return replace(baseline, linear_backward=linear_backward)


@mutant
def weight_gradient_of_last_batch(baseline: Any) -> Any:
    """Each batch overwrites dweight, where it should add (systems A4)."""

    def linear_backward(dout: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, ...]:
        dx, _, *rest = baseline.linear_backward(dout, x, weight, bias)
        return (dx, baseline.linear_backward(dout[-1], x[-1], weight, bias)[1], *rest)

    return replace(baseline, linear_backward=linear_backward)


@mutant
def square_weight_not_transposed(baseline: Any) -> Any:
    """dx = dout W^T: the shapes fit when the weight is square (Q2: vllm-project/vllm#50204)."""

    def linear_backward(dout: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor, ...]:
        if weight.shape[0] != weight.shape[1] or weight.shape[0] == 1:
            raise Inapplicable("the shapes fit only when the weight is square")
        wrong = baseline.linear_backward(dout, x, weight.mT.contiguous(), bias)[0]
        return (wrong, *baseline.linear_backward(dout, x, weight, bias)[1:])

    return replace(baseline, linear_backward=linear_backward)


@mutant
def matmul_second_not_transposed(baseline: Any) -> Any:
    """da = dout b: the shapes fit when b is square.
    Synthetic: the transpose is forgotten, and a test with square matrices raises no error."""

    def matmul_backward(dout: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        if b.shape[-1] != b.shape[-2] or b.shape[-1] == 1:
            raise Inapplicable("the shapes fit only when b is square")
        return dout @ b, baseline.matmul_backward(dout, a, b)[1]

    return replace(baseline, matmul_backward=matmul_backward)


@mutant
def matmul_db_of_first_batch(baseline: Any) -> Any:
    """Every matrix of the batch gets the first one's db.
    Synthetic: the loop over the batch writes through an index that is never advanced."""

    def matmul_backward(dout: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        da, db = baseline.matmul_backward(dout, a, b)
        return da, db[:1].expand_as(db).clone()

    return replace(baseline, matmul_backward=matmul_backward)


@mutant
def embedding_assigns(baseline: Any) -> Any:
    """dweight[id] = dout for +=: of equal ids one is kept (systems C2)."""

    def embedding_backward(dout: Tensor, tokens: Tensor, weight: Tensor) -> Tensor:
        dweight = torch.zeros_like(weight)
        for token, row in zip(tokens.flatten().tolist(), dout.flatten(0, -2), strict=True):
            dweight[token] = row
        return dweight

    return replace(baseline, embedding_backward=embedding_backward)


@mutant
def embedding_averages(baseline: Any) -> Any:
    """Equal ids share their gradient, as torch's scale_grad_by_freq has it.
    Synthetic: the option's division by the count is copied with the kernel, where nobody asked for it."""

    def embedding_backward(dout: Tensor, tokens: Tensor, weight: Tensor) -> Tensor:
        counts = torch.bincount(tokens.flatten(), minlength=len(weight)).clamp(min=1)
        return (baseline.embedding_backward(dout, tokens, weight)[0] / counts[:, None]).to(weight.dtype)

    return replace(baseline, embedding_backward=embedding_backward)


@mutant
def embedding_first_row_frozen(baseline: Any) -> Any:
    """Row 0 is taken for padding and gets no gradient: padding_idx = 0 (ibalazevic/TuckER#17)."""

    def embedding_backward(dout: Tensor, tokens: Tensor, weight: Tensor) -> Tensor:
        return baseline.embedding_backward(dout, tokens, weight)[0].index_fill(0, tokens.new_zeros(1), 0)

    return replace(baseline, embedding_backward=embedding_backward)


def _linear(baseline: Any, dout: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
    if bias is None:
        raise Inapplicable("there is no bias")
    found: tuple[Tensor, ...] = baseline.linear_backward(dout, x, weight, bias)
    return found
