"""A training loop from transformers' decoder, torch.autograd, torch.optim.AdamW, GradScaler and RandomSampler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.utils.data import RandomSampler

from harness.falsifiers.baselines.torch_optim import Optimizer
from harness.falsifiers.baselines.transformers import decoder

ARRAYS = "torch"
Tensors = Mapping[str, torch.Tensor]
Batches = Sequence[tuple[torch.Tensor, torch.Tensor]]


class Loop:
    """One training run; each part is a method, so that a mutant can override one part."""

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: Tensors | None,
        batches: Batches,
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
    ) -> None:
        self.config, self.batches, self.dtype, self.device = dict(config), batches, dtype, device
        self.steps, self.seed, self.micro_batches = steps, seed, micro_batches
        kind = torch.float64 if dtype == "float64" else torch.float32
        held = self.initial() if weights is None else weights
        self.optimizer = Optimizer(
            {name: w.to(kind) for name, w in held.items()},
            lr=lr,
            beta1=0.9,
            beta2=0.999,
            eps=eps,
            weight_decay=weight_decay,
            max_norm=max_norm,
            loss_scale=loss_scale,
            growth_interval=growth_interval,
        )
        self.model = decoder.load(self.config, self.rounded(), dtype=dtype, device=device).model

    def initial(self) -> Tensors:
        """Weights by transformers' own initialisation, with torch's global generator."""
        from transformers import AutoConfig, AutoModelForCausalLM

        self.sow()
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**self.config))
        return {name: p.detach() for name, p in model.named_parameters()}

    def sow(self) -> None:
        """Seed torch's global generator, from which the initial weights are drawn."""
        torch.manual_seed(self.seed)

    def order(self) -> list[int]:
        """Indices of the batches, epoch after epoch."""
        count = len(self.batches)
        wanted = count if self.steps is None else self.steps
        random = None if self.seed is None else torch.Generator().manual_seed(self.seed)
        sampler = RandomSampler(range(count), generator=random) if random else range(count)
        found: list[int] = []
        while len(found) < wanted:
            found += [int(i) for i in sampler]
        return found[:wanted]

    def run(self) -> dict[str, Any]:
        """Losses, norms, scales and batch indices per step, and the final weights."""
        history: dict[str, Any] = {"losses": [], "grad_norms": [], "loss_scales": [], "order": self.order()}
        for i in history["order"]:
            history["loss_scales"].append(self.optimizer.loss_scale)
            loss, norm = self.step(i)
            history["losses"].append(loss)
            history["grad_norms"].append(norm)
        kind = getattr(torch, self.dtype)
        return {**history, "weights": {name: w.to(kind) for name, w in self.optimizer.weights().items()}}

    def step(self, i: int) -> tuple[float, float]:
        """One update from batch `i`: mean loss, norm before clipping."""
        tokens, targets = self.batches[i]
        leaves = self.rounded()
        counts, losses, grads = [], [], []
        for rows in torch.arange(len(tokens)).tensor_split(self.micro_batches):
            count = int((targets[rows] != -100).sum())
            try:
                loss = self.loss(leaves, tokens[rows], targets[rows])
            except IndexError as problem:  # cross_entropy raises IndexError for a target out of range
                raise ValueError(f"batch {i}: {problem}") from None
            if not count or not torch.isfinite(loss):
                raise ValueError(
                    f"batch {i}: found {count} targets other than -100 and loss {float(loss)}; "
                    "expected at least one, and a finite loss"
                )
            counts.append(count)
            losses.append(float(loss.detach()) * count)
            grads.append(self.gradients(leaves, loss))
        return sum(losses) / sum(counts), self.update(grads, counts)

    def rounded(self) -> dict[str, torch.Tensor]:
        """The weights in the run's dtype, as leaves of the forward pass's graph."""
        kind = getattr(torch, self.dtype)
        return {name: w.detach().to(kind, copy=True).requires_grad_() for name, w in self.optimizer.weights().items()}

    def loss(self, leaves: Tensors, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of a micro-batch, with its graph."""
        call = {"input_ids": tokens, "use_cache": False}
        logits = functional_call(self.model, dict(leaves), kwargs=call, tie_weights=False).logits
        wide = logits if logits.dtype == torch.float64 else logits.float()
        return cross_entropy(wide.flatten(0, 1), targets.flatten())

    def gradients(self, leaves: Tensors, loss: torch.Tensor) -> dict[str, torch.Tensor]:
        """Gradients of the scaled loss, in at least float32."""
        grads = torch.autograd.grad(loss * self.optimizer.loss_scale, list(leaves.values()))
        return {n: g if g.dtype == torch.float64 else g.float() for n, g in zip(leaves, grads, strict=True)}

    def update(self, grads: list[dict[str, torch.Tensor]], counts: list[int]) -> float:
        """Average, unscale, clip, step."""
        return self.optimizer.step(grads, counts)


def train(
    config: Mapping[str, Any],
    weights: Tensors | None,
    batches: Batches,
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
    """As `harness.candidates.torch.training.trainer.train`."""
    options = {k: v for k, v in locals().items() if k not in ("config", "weights", "batches")}
    return Loop(config, weights, batches, **options).run()
