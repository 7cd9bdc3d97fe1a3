"""Training beside inference: the weights that are read change only at a swap."""

from __future__ import annotations

from torch import Tensor

from harness.candidates.torch.training.optim import Optimizer

Tensors = dict[str, Tensor]


class TrainerCopy:
    """One set of weights is read, another is trained by AdamW; they share no storage."""

    def __init__(
        self, weights: Tensors, *, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float
    ) -> None:
        self._read = {name: w.clone() for name, w in weights.items()}
        self._optimizer = Optimizer(weights, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)

    def inference_weights(self) -> Tensors:
        """The weights of the last swap, or the first ones, as copies."""
        return {name: w.clone() for name, w in self._read.items()}

    def step(self, grads: Tensors) -> None:
        """One update of the trained copy. Raises: ValueError naming the tensor, and nothing is changed."""
        self._optimizer.step([grads], [1])

    def swap(self) -> None:
        """Inference reads a copy of the trained weights from now on."""
        self._read = self._optimizer.weights()


trainer_copy = TrainerCopy
