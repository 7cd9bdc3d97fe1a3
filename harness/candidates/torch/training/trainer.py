"""Train a decoder: micro-batches, loss scaling, clipping, AdamW on weights of at least float32."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from harness.candidates.torch._width import widened
from harness.candidates.torch.model._shapes import shapes_of
from harness.candidates.torch.model.decoder import load
from harness.candidates.torch.training.optim import Optimizer

Tensors = Mapping[str, torch.Tensor]
Batch = tuple[torch.Tensor, torch.Tensor]
IGNORED = -100
INITIAL_STD = 0.02


def train(
    config: Mapping[str, Any],
    weights: Tensors | None,
    batches: Sequence[Batch],
    *,
    lr: float,
    eps: float = 1e-8,
    steps: int | None = None,
    seed: int | None = None,
    weight_decay: float = 0.0,
    max_norm: float | None = None,
    micro_batches: int = 1,
    loss_scale: float = 1.0,
    growth_interval: int | None = None,
    dtype: str,
    device: str,
) -> dict[str, Any]:
    """One update per batch; `seed` shuffles the batches of every epoch, and draws the weights if `weights` is None.

    A 16-bit run rounds the forward and backward passes and updates float32 weights.
    Shapes: batches [(tokens (B, T), targets (B, T))], -100 ignored.
    Returns losses, grad_norms, loss_scales and order, one per step, from before the update (norms unscaled and
    unclipped, inf if a scaled gradient overflowed and the step was skipped), and the final weights.
    Raises: ValueError naming the batch and its fault; arguments are never changed.
    """
    random = torch.Generator().manual_seed(seed) if seed is not None else None
    kind = torch.float64 if dtype == "float64" else torch.float32
    held = _initial(config, random, kind) if weights is None else weights
    optimizer = Optimizer(
        {name: w.detach().to(device, kind) for name, w in held.items()},
        lr=lr,
        beta1=0.9,
        beta2=0.999,
        eps=eps,
        weight_decay=weight_decay,
        max_norm=max_norm,
        loss_scale=loss_scale,
        growth_interval=growth_interval,
    )
    history: dict[str, Any] = {"losses": [], "grad_norms": [], "loss_scales": [], "order": []}
    for i in _order(len(batches), steps, random):
        model = load(config, optimizer.weights(), dtype=dtype, device=device)
        counts, losses, grads = _micro_batches(model, batches[i], micro_batches, optimizer.loss_scale, f"batch {i}")
        history["order"].append(i)
        history["losses"].append(sum(n * loss for n, loss in zip(counts, losses, strict=True)) / sum(counts))
        history["loss_scales"].append(optimizer.loss_scale)
        history["grad_norms"].append(optimizer.step(grads, counts))
    return {**history, "weights": {name: w.to(getattr(torch, dtype)) for name, w in optimizer.weights().items()}}


def _micro_batches(
    model: Any, batch: Batch, parts: int, scale: float, what: str
) -> tuple[list[int], list[float], list[dict[str, torch.Tensor]]]:
    """Number of targets other than -100, loss and scaled gradient of each micro-batch."""
    tokens, targets = batch
    counts, losses, grads = [], [], []
    for own, wanted in zip(tokens.tensor_split(parts), targets.tensor_split(parts), strict=True):
        counts.append(int((wanted != IGNORED).sum()))
        if not counts[-1]:
            raise ValueError(f"{what}: found no target that counts in a micro-batch, expected at least one")
        try:
            loss, grad = model.loss_and_grads(own, wanted, scale=scale)
        except ValueError as problem:
            raise ValueError(f"{what}: {problem}") from None
        if not math.isfinite(loss):
            raise ValueError(f"{what}: found a loss of {loss}, expected a finite number; no step is taken")
        losses.append(loss)
        grads.append({name: widened(g) for name, g in grad.items()})
    return counts, losses, grads


def _order(count: int, steps: int | None, random: torch.Generator | None) -> Iterator[int]:
    """Yield batch indices, epoch after epoch, `steps` in all (None: one epoch)."""
    left = count if steps is None else steps
    while left > 0:
        epoch = range(count) if random is None else torch.randperm(count, generator=random).tolist()
        yield from epoch[:left]
        left -= count


def _initial(config: Mapping[str, Any], random: torch.Generator | None, kind: torch.dtype) -> dict[str, torch.Tensor]:
    """Initial weights: gains 1, biases 0, the rest normal. Raises: ValueError without a seed."""
    if random is None:
        raise ValueError("train: found neither weights nor a seed, expected one of them")
    fresh = {}
    for name, shape in shapes_of(config).items():
        if name.endswith("norm.weight"):
            fresh[name] = torch.ones(shape, dtype=kind)
        elif name.endswith(".bias"):
            fresh[name] = torch.zeros(shape, dtype=kind)
        else:
            fresh[name] = torch.empty(shape, dtype=kind).normal_(0.0, INITIAL_STD, generator=random)
    return fresh
