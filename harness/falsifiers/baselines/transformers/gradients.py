"""Loss and gradients of transformers' Qwen2 and Llama by torch.autograd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from harness.falsifiers.baselines.transformers import decoder
from harness.falsifiers.baselines.transformers.decoder import Decoder

ARRAYS = "torch"
Tensors = Mapping[str, torch.Tensor]


def load(config: Mapping[str, Any], weights: Tensors, *, dtype: str, device: str) -> TrainedDecoder:
    """Load as `decoder.load` does; the result also has `loss` and `loss_and_grads`.

    Raises: RuntimeError naming the tensors if `weights` does not hold exactly the model's tensors.
    """
    return TrainedDecoder(decoder.load(config, weights, dtype=dtype, device=device).model, list(weights))


class TrainedDecoder(Decoder):
    """A transformers model with `logits`, `loss` and `loss_and_grads`; `names` are the checkpoint's tensors."""

    def __init__(self, model: Any, names: list[str]) -> None:
        super().__init__(model)
        self.names = names

    @torch.no_grad()
    def loss(self, tokens: torch.Tensor, targets: torch.Tensor, replace: Tensors | None = None) -> float:
        """Mean cross-entropy over the targets that are not -100; tensors in `replace` replace the model's.

        Shapes: tokens, targets (B, T). Units: nats.
        """
        out = functional_call(self.model, dict(replace or {}), kwargs={"input_ids": tokens, "use_cache": False})
        return float(_loss(out.logits, targets))

    def loss_and_grads(self, tokens: torch.Tensor, targets: torch.Tensor) -> tuple[float, dict[str, torch.Tensor]]:
        """The same loss, and its gradient by every tensor of the checkpoint, in the checkpoint's order."""
        parameters = dict(self.model.named_parameters())  # torch lists a tied head once, as the embedding
        with torch.enable_grad():
            loss = _loss(self.model(input_ids=tokens, use_cache=False).logits, targets)
            gradients = torch.autograd.grad(loss, [parameters[name] for name in self.names])
        return float(loss.detach()), dict(zip(self.names, gradients, strict=True))


def _loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    # Like transformers' own loss, convert 16-bit logits to float32 before the softmax.
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return cross_entropy(wide.flatten(0, 1), targets.flatten())
