"""Average gradients of micro-batches over all tokens, and clip by the global norm, in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.candidates.torch._width import widened

Tensors = dict[str, Tensor]


class Accumulator:
    """Sum of gradients times tokens; 16-bit gradients are summed in float32."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Drop all gradients."""
        self._tokens = 0
        self._sums: Tensors = {}
        self._dtypes: dict[str, torch.dtype] = {}

    def add(self, grads: Tensors, tokens: int) -> None:
        """Add the gradient of a mean over `tokens` tokens.

        Raises: ValueError, without adding anything, for a count below 1, or names or shapes that differ from before.
        """
        if tokens < 1:
            raise ValueError(f"accumulator: found a micro-batch of {tokens} tokens, expected 1 or more")
        odd = sorted(set(grads) ^ set(self._sums)) if self._tokens else []
        if odd:
            raise ValueError(f"accumulator: found {odd[0]!r} not in every micro-batch, expected equal names")
        for name, g in grads.items():
            if name in self._sums and g.shape != self._sums[name].shape:
                found, expected = tuple(g.shape), tuple(self._sums[name].shape)
                raise ValueError(f"gradient of {name!r}: found shape {found}, expected {expected}")
        self._dtypes = {name: g.dtype for name, g in grads.items()}
        # A new dictionary, so that a failed addition leaves the old sums intact.
        self._sums = {name: self._sums.get(name, 0) + widened(g) * tokens for name, g in grads.items()}
        self._tokens += tokens

    def mean(self) -> Tensors:
        """The gradient of the mean over all tokens. Raises: ValueError before the first micro-batch."""
        if not self._tokens:
            raise ValueError("accumulator: found no micro-batch, expected one or more")
        return {name: (total / self._tokens).to(self._dtypes[name]) for name, total in self._sums.items()}


accumulator = Accumulator


def accumulate(grads: list[Tensors], tokens: list[int]) -> Tensors:
    """sum(tokens_i grads_i) / sum(tokens_i), by name. Raises: ValueError if the lists differ in length."""
    if len(grads) != len(tokens):
        raise ValueError(
            f"accumulate: found {len(grads)} micro-batches and {len(tokens)} token counts, expected as many"
        )
    total = Accumulator()
    for part, count in zip(grads, tokens, strict=True):
        total.add(part, count)
    return total.mean()


def clip_gradients(grads: Tensors, max_norm: float) -> tuple[Tensors, Tensor]:
    """Scale all gradients together to a global L2 norm of at most max_norm; return them and the norm before.

    Shapes: grads {name: any} -> (the same, norm ()).
    Raises: ValueError if max_norm is not above 0, or the norm is not finite.
    """
    if not max_norm > 0:
        raise ValueError(f"clip: found max_norm {max_norm}, expected a number above 0")
    squares = torch.stack([widened(g).square().sum() for g in grads.values()])
    norm = squares.sum().sqrt()
    if not torch.isfinite(norm):
        raise ValueError(f"clip: found a gradient norm of {float(norm)}, expected a finite number")
    factor = min(1.0, max_norm / (float(norm) + 1e-6))
    dtype = next(iter(grads.values())).dtype
    return {name: (widened(g) * factor).to(g.dtype) for name, g in grads.items()}, norm.to(dtype)
