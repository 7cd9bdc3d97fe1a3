"""Loss of a loaded decoder and its gradients by autograd, used as methods of `Decoder`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from harness.candidates.torch._width import widened
from harness.candidates.torch.ops.losses import cross_entropy

Gradients = dict[str, torch.Tensor]
IGNORED = -100


@torch.no_grad()
def decoder_loss(
    decoder: Any, tokens: torch.Tensor, targets: torch.Tensor, replace: Mapping[str, torch.Tensor] | None = None
) -> float:
    """Mean cross-entropy over the targets that are not -100; tensors in `replace` replace the model's.

    Shapes: tokens, targets (B, T). Units: nats per counted token.
    Raises: ValueError on a tensor or a target that does not fit, or if all targets are -100.
    """
    return float(_loss(_with(decoder, replace or {}), tokens, targets))


def decoder_loss_and_grads(
    decoder: Any, tokens: torch.Tensor, targets: torch.Tensor, *, scale: float = 1.0
) -> tuple[float, Gradients]:
    """The same loss, and its gradient times `scale` by every tensor, in the order of the decoder's weights.

    Shapes: tokens, targets (B, T) -> float, each gradient shaped as its tensor, in its dtype.
    Units:  the loss is scaled before the backward pass, so that small 16-bit gradients do not underflow.
    """
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in decoder.weights.items()}
    with torch.enable_grad():
        total = _loss(_with(decoder, leaves), tokens, targets)
        gradients = torch.autograd.grad(total * scale, list(leaves.values()))
    return float(total.detach()), dict(zip(leaves, gradients, strict=True))


def _with(decoder: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    for name, tensor in tensors.items():
        held = decoder.weights.get(name)
        if held is None or held.shape != tensor.shape:
            expected = "a tensor of the model" if held is None else f"{tuple(held.shape)}"
            raise ValueError(f"replace: found {name} {tuple(tensor.shape)}, expected {expected}")
    other = copy.copy(decoder)
    other.weights = {**decoder.weights, **tensors}
    return other


def _loss(decoder: Any, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    targets = targets.to(decoder.device)
    if targets.shape != tokens.shape:
        raise ValueError(f"targets: found {tuple(targets.shape)}, expected {tuple(tokens.shape)} as the tokens")
    logits = decoder._forward(tokens, lambda _, value: value)
    counted = targets[targets != IGNORED]
    if not counted.numel():
        raise ValueError(f"targets: found {targets.numel()} of them, all {IGNORED}; expected one that counts")
    low, high = int(counted.min()), int(counted.max())
    if low < 0 or high >= logits.shape[-1]:
        raise ValueError(f"targets: found ids from {low} to {high}, expected 0 to {logits.shape[-1] - 1} or {IGNORED}")
    return cross_entropy(widened(logits), targets)
