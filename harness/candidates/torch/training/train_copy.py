"""Train a copy of the weights; `swap` makes inference read it."""

from __future__ import annotations

from torch import Tensor

from harness.candidates.torch.training.optim import Optimizer

Tensors = dict[str, Tensor]


class TrainerCopy:
    """Two copies of the weights without shared storage: inference reads one, AdamW trains the other."""

    def __init__(
        self, weights: Tensors, *, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float
    ) -> None:
        self._read = {name: w.clone() for name, w in weights.items()}
        self._optimizer = Optimizer(weights, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)

    def inference_weights(self) -> Tensors:
        """Copies of the weights of the last swap, or of the initial ones."""
        return {name: w.clone() for name, w in self._read.items()}

    def step(self, grads: Tensors) -> None:
        """One update of the trained copy. Raises: ValueError naming the tensor, without changing anything."""
        self._optimizer.step([grads], [1])

    def swap(self) -> None:
        """Copy the trained weights to the inference weights."""
        self._read = self._optimizer.weights()


trainer_copy = TrainerCopy
