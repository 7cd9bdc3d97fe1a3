"""Optimizer and gradient handling by PyTorch itself: torch.optim, torch.nn.utils, torch.amp."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

ARRAYS = "torch"
Tensors = dict[str, Tensor]


def adamw_step(
    w: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    *,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of torch.optim.AdamW, after setting its state to that before update `step`."""
    parameter = torch.nn.Parameter(w.clone())
    optimizer = torch.optim.AdamW([parameter], lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)
    state = {"step": torch.tensor(float(step - 1)), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    optimizer.state[parameter] = state
    parameter.grad = g.clone()
    optimizer.step()
    return parameter.detach(), state["exp_avg"], state["exp_avg_sq"]


class Optimizer:
    """torch.optim.AdamW with two parameter groups, autograd's gradient accumulation and torch.amp.GradScaler."""

    def __init__(
        self,
        weights: Tensors,
        *,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        no_decay: Collection[str] = (),
        max_norm: float | None = None,
        loss_scale: float = 1.0,
        growth_interval: int | None = None,
    ) -> None:
        self.parameters = {name: torch.nn.Parameter(w.clone()) for name, w in weights.items()}
        groups = [
            {"params": [p for n, p in self.parameters.items() if (n in no_decay) == free], "weight_decay": decay}
            for free, decay in ((False, weight_decay), (True, 0.0))
        ]
        self.adamw = torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=(beta1, beta2), eps=eps)
        self.max_norm = torch.inf if max_norm is None else max_norm
        device = next(iter(weights.values())).device
        self.scaler = torch.amp.GradScaler(
            device.type, init_scale=loss_scale, growth_interval=growth_interval or 1_000_000_000
        )
        self.scaler.scale(torch.zeros((), device=device))  # GradScaler initialises its scale at the first call

    @property
    def loss_scale(self) -> float:
        """The factor for the next loss before its backward pass."""
        return float(self.scaler.get_scale())

    def step(self, grads: list[Tensors], tokens: list[int]) -> float:
        """One update from the scaled gradients of micro-batches; return the unscaled norm before clipping."""
        self.average(grads, tokens)
        self.scaler.unscale_(self.adamw)
        norm = self.clip()
        self.update()
        return norm

    def average(self, grads: list[Tensors], tokens: list[int]) -> None:
        """Set the parameters' gradients to the mean over micro-batches."""
        for name, mean in accumulate(grads, tokens).items():
            self.parameters[name].grad = mean

    def clip(self) -> float:
        """torch.nn.utils.clip_grad_norm_ over all parameters."""
        return float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.max_norm))

    def update(self) -> None:
        """Step, then update the loss scale."""
        self.scaler.step(self.adamw)
        self.scaler.update()

    def weights(self) -> Tensors:
        """Copies of the current weights."""
        return {name: p.detach().clone() for name, p in self.parameters.items()}

    def state(self) -> dict[str, Any]:
        """{"step", "m", "v"}, as in harness.reference.training.optim."""
        found = {name: self.adamw.state[p] for name, p in self.parameters.items()}
        step = max((int(s["step"]) for s in found.values() if s), default=0)
        return {"step": step, "m": self._moments("exp_avg"), "v": self._moments("exp_avg_sq")}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from the `state` of another optimizer."""
        for name, p in self.parameters.items():
            self.adamw.state[p] = {
                "step": torch.tensor(float(state["step"])),
                "exp_avg": state["m"][name].clone(),
                "exp_avg_sq": state["v"][name].clone(),
            }

    def _moments(self, kind: str) -> Tensors:
        return {n: self.adamw.state[p].get(kind, torch.zeros_like(p)).clone() for n, p in self.parameters.items()}


optimizer = Optimizer


def clip_gradients(grads: Tensors, max_norm: float) -> tuple[Tensors, Tensor]:
    """torch.nn.utils.clip_grad_norm_."""
    parameters = {name: torch.nn.Parameter(torch.zeros_like(g)) for name, g in grads.items()}
    for name, p in parameters.items():
        p.grad = grads[name].clone()
    norm = torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm)
    return {name: p.grad for name, p in parameters.items()}, norm


def accumulate(grads: list[Tensors], tokens: list[int]) -> Tensors:
    """Accumulate by torch.autograd: one backward pass per micro-batch, each loss times its share of the tokens."""
    parameters = {name: torch.zeros_like(g, requires_grad=True) for name, g in grads[0].items()}
    for part, count in zip(grads, tokens, strict=True):
        share = count / sum(tokens)
        for name, p in parameters.items():
            p.backward(part[name] * share)
    return {name: p.grad for name, p in parameters.items()}


class Accumulator:
    """torch.autograd's gradient accumulation over micro-batches that are added one by one."""

    def __init__(self) -> None:
        self.reset()

    def add(self, grads: Tensors, tokens: int) -> None:
        """Store one micro-batch."""
        self.grads.append(grads)
        self.tokens.append(tokens)

    def mean(self) -> Tensors:
        """The gradient of the mean over all tokens."""
        return accumulate(self.grads, self.tokens)

    def reset(self) -> None:
        """Drop all micro-batches."""
        self.grads: list[Tensors] = []
        self.tokens: list[int] = []


accumulator = Accumulator


def lr_at(step: int, *, peak: float, warmup: int, total: int, decay: str = "cosine", floor: float = 0.0) -> float:
    """transformers.optimization's LambdaLR schedules, evaluated at one step."""
    if decay == "linear":
        share = _schedule("get_linear_schedule_with_warmup", warmup, total)(step)
        return float(floor + (peak - floor) * share if step >= warmup else peak * share)
    # Beyond the last step transformers' cosine would rise again, so the step is limited to `total`.
    make = _schedule("get_cosine_with_min_lr_schedule_with_warmup", warmup, total, min_lr_rate=floor / peak)
    return float(peak * make(min(step, total)))


@lru_cache
def _schedule(name: str, warmup: int, total: int, **options: float) -> Callable[[int], float]:
    """The function of transformers' LambdaLR: step -> share of the peak rate."""
    from transformers import optimization

    adamw = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    share: Callable[[int], float] = getattr(optimization, name)(adamw, warmup, total, **options).lr_lambdas[0]
    return share
