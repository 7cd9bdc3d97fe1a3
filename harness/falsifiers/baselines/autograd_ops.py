"""Backward of the ops of torch.nn.functional by torch.autograd, as PyTorch's authors wrote both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from harness.falsifiers.baselines import torch_ops

ARRAYS = "torch"


def _backward(op: Callable[..., torch.Tensor], leaves: int | None = None) -> Callable[..., tuple[torch.Tensor, ...]]:
    """`op`'s backward: the gradients of its first `leaves` floating inputs (None: of all), in input order."""

    def backward(dout: Any, *inputs: Any, **options: Any) -> tuple[torch.Tensor, ...]:
        known: dict[int | str, Any] = dict(enumerate(inputs))
        known.update(options)
        floating = [key for key, value in known.items() if torch.is_tensor(value) and value.is_floating_point()]
        found = {key: known[key].detach().requires_grad_() for key in floating[:leaves]}
        known.update(found)
        out = op(*(known[i] for i in range(len(inputs))), **{key: known[key] for key in options})
        upstream = torch.as_tensor(dout, dtype=out.dtype, device=out.device)
        return torch.autograd.grad(out, list(found.values()), upstream)

    return backward


linear_backward = _backward(torch_ops.linear)
matmul_backward = _backward(torch_ops.matmul)
embedding_backward = _backward(torch_ops.embedding)
softmax_backward = _backward(torch_ops.softmax)
attention_backward = _backward(torch_ops.attention)
rmsnorm_backward = _backward(torch_ops.rmsnorm)
layernorm_backward = _backward(torch_ops.layernorm)
l2norm_backward = _backward(torch_ops.l2norm)
gelu_backward = _backward(torch_ops.gelu)
gelu_tanh_backward = _backward(torch_ops.gelu_tanh)
silu_backward = _backward(torch_ops.silu)
relu_backward = _backward(torch_ops.relu)
leaky_relu_backward = _backward(torch_ops.leaky_relu)
elu_backward = _backward(torch_ops.elu)
sigmoid_backward = _backward(torch_ops.sigmoid)
tanh_backward = _backward(torch_ops.tanh)
swiglu_backward = _backward(torch_ops.swiglu)
cross_entropy_backward = _backward(torch_ops.cross_entropy)
weighted_bce_backward = _backward(torch_ops.weighted_bce, leaves=1)


def rope_backward(dout: torch.Tensor, x: torch.Tensor, positions: torch.Tensor, **options: Any) -> tuple[Any, ...]:
    """The backward of transformers' rotations; transformers takes seconds to import, which no other op needs."""
    from harness.falsifiers.baselines.transformers import rope

    return _backward(rope.rope)(dout, x, positions, **options)
