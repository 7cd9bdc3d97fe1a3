"""Combine the gradients of several micro-batches, weighted by their tokens, to the gradient of one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Arrays = Mapping[str, np.ndarray]


class Accumulator:
    """Add up gradients of mean losses, each times its tokens; `mean` divides the sum by all tokens.

    Source: the gradient of a mean over all tokens; huggingface/transformers#34191 took the mean of means instead.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self._sums: dict[str, np.ndarray] = {}

    def add(self, grads: Arrays, tokens: int) -> None:
        """Add the gradient of a loss that is a mean over `tokens` tokens.

        Raises: ValueError, without adding anything, if tokens is below 1, or a gradient is missing, unknown,
                of another shape or not finite.
        """
        if tokens < 1:
            raise ValueError(f"accumulator: found a micro-batch of {tokens} tokens, expected 1 or more")
        self._check(grads)
        sums = {name: g * tokens + self._sums.get(name, 0.0) for name, g in grads.items()}
        self._sums, self.tokens = sums, self.tokens + tokens

    def mean(self) -> dict[str, np.ndarray]:
        """The gradient of the mean over all tokens so far. Raises: ValueError before the first `add`."""
        if not self.tokens:
            raise ValueError(
                "accumulator: found no micro-batch since the start or the last reset, expected one or more"
            )
        return {name: total / self.tokens for name, total in self._sums.items()}

    def reset(self) -> None:
        """Drop all gradients; call it after each update."""
        self.tokens, self._sums = 0, {}

    def _check(self, grads: Arrays) -> None:
        if self.tokens and set(grads) != set(self._sums):
            odd = sorted(set(grads) ^ set(self._sums))[0]
            raise ValueError(f"accumulator: found {odd!r} in one micro-batch and not in another, expected equal names")
        for name, g in grads.items():
            if self.tokens and g.shape != self._sums[name].shape:
                raise ValueError(
                    f"accumulator: gradient of {name!r}: found shape {g.shape}, expected {self._sums[name].shape}"
                )
            if not np.isfinite(g).all():
                raise ValueError(f"accumulator: gradient of {name!r}: found a number that is not finite")


def accumulate(grads: Sequence[Arrays], tokens: Sequence[int]) -> dict[str, np.ndarray]:
    """sum(tokens_i grads_i) / sum(tokens_i).

    Shapes: grads [{name: any}] of mean losses, tokens of the same length -> {name: any}.
    Raises: ValueError as Accumulator, or if the two lists differ in length.
    """
    if len(grads) != len(tokens):
        raise ValueError(f"accumulate: found {len(grads)} gradients and {len(tokens)} token counts, expected as many")
    accumulator = Accumulator()
    for part, count in zip(grads, tokens, strict=True):
        accumulator.add(part, count)
    return accumulator.mean()
