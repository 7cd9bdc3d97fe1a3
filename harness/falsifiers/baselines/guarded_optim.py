"""torch.optim.AdamW with input checks; torch itself accepts a NaN gradient and a mis-shaped state."""

from __future__ import annotations

from typing import Any

import torch

from harness.falsifiers.baselines import torch_optim

ARRAYS = "torch"
Tensors = dict[str, torch.Tensor]


class Optimizer(torch_optim.Optimizer):
    """An optimizer that checks all inputs before it changes anything."""

    def __init__(self, weights: Tensors, *, lr: float, eps: float, no_decay: Any = (), **options: Any) -> None:
        self.check_rates(weights, {"lr": lr, "eps": eps}, no_decay)
        super().__init__(weights, lr=lr, eps=eps, no_decay=no_decay, **options)

    def check_rates(self, weights: Tensors, rates: dict[str, float], no_decay: Any) -> None:
        """Raises: ValueError naming the rate that is not above 0, or the name in no_decay that is not a tensor's."""
        for name, rate in rates.items():
            if not rate > 0:
                raise ValueError(f"{name} is {rate}, expected above 0")
        for name in no_decay:
            if name not in weights:
                raise ValueError(f"no tensor {name}")

    def step(self, grads: list[Tensors], tokens: list[int]) -> float:
        """One update, after checking counts, shapes and finite values. Raises: ValueError."""
        self.check_counts(grads, tokens)
        for part in grads:
            self.check_shapes(part)
            self.check_finite(part)
        return super().step(grads, tokens)

    def load_state(self, state: dict[str, Any]) -> None:
        """Load a state, after checking its shapes. Raises: ValueError."""
        for kind in ("m", "v"):
            self.check_shapes(state[kind])
        super().load_state(state)

    def check_counts(self, grads: list[Tensors], tokens: list[int]) -> None:
        """Raises: ValueError if the numbers of counts and micro-batches differ, or a count is below 1."""
        if len(grads) != len(tokens):
            raise ValueError(f"{len(grads)} micro-batches and {len(tokens)} token counts")
        for i, count in enumerate(tokens):
            if count < 1:
                raise ValueError(f"micro-batch {i} of {count} tokens")

    def check_shapes(self, tensors: Tensors) -> None:
        """Raises: ValueError naming the tensor that is missing, mis-shaped or unknown."""
        for name, p in self.parameters.items():
            if name not in tensors or tensors[name].shape != p.shape:
                raise ValueError(f"{name}: expected one of shape {tuple(p.shape)}")
        for name in tensors:
            if name not in self.parameters:
                raise ValueError(f"{name}: not a tensor of the model")

    def check_finite(self, tensors: Tensors) -> None:
        """Raises: ValueError naming the tensor that is not finite."""
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                raise ValueError(f"{name}: not finite")


optimizer = Optimizer
