"""AdamW written out in torch, and a learning-rate schedule. Both moments of a tensor have the tensor's dtype."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from harness.candidates.torch.training.accumulation import accumulate, clip_gradients

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
    """One AdamW update with decoupled decay and bias correction; `step` counts from 1.

    Shapes: w, g, m, v all the same -> (w, m, v), new tensors.
    Raises: ValueError for a rate out of range, a step below 1, unequal shapes, or a gradient that is not finite.
    """
    _check_rates(lr, eps)
    if step < 1:
        raise ValueError(f"adamw: found step {step}, expected 1 or more")
    if not w.shape == g.shape == m.shape == v.shape:
        raise ValueError(f"adamw: found shapes {[tuple(t.shape) for t in (w, g, m, v)]}, expected one shape")
    if not torch.isfinite(g).all():
        raise ValueError("adamw: found a gradient that is not finite, expected finite numbers")
    m = torch.lerp(m, g, 1 - beta1)
    v = beta2 * v + (1 - beta2) * g.square()
    root = (v / (1 - beta2**step)).sqrt() + eps
    return w * (1 - lr * weight_decay) - (lr / (1 - beta1**step)) * (m / root), m, v


class Optimizer:
    """AdamW over named tensors: average the micro-batches, unscale, clip, update, in this order.

    Units:  the caller multiplies gradients by `loss_scale`. With a growth_interval the scale doubles after that
            many good steps; when a gradient overflows, the step is skipped and the scale halves.
    Raises: ValueError for lr or eps that is not above 0, or a name in no_decay that the model lacks.
    """

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
        _check_rates(lr, eps)
        strangers = sorted(set(no_decay) - set(weights))
        if strangers:
            raise ValueError(f"no_decay: found {strangers[0]!r}, expected names of the model's tensors")
        self._weights = {name: w.clone() for name, w in weights.items()}
        self._m = {name: torch.zeros_like(w) for name, w in weights.items()}
        self._v = {name: torch.zeros_like(w) for name, w in weights.items()}
        self._step, self._good = 0, 0
        self._rates = {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps}
        self._decay = {name: 0.0 if name in no_decay else weight_decay for name in weights}
        self._max_norm, self._growth_interval = max_norm, growth_interval
        self.loss_scale = loss_scale

    def step(self, grads: list[Tensors], tokens: list[int]) -> float:
        """One update; return the norm of the averaged, unscaled gradient before clipping, inf for a skipped step.

        Shapes: grads [{name: as the weight}], one per micro-batch, tokens of the same length.
        Raises: ValueError naming the tensor, without changing anything.
        """
        mean = {name: g / self.loss_scale for name, g in accumulate(grads, tokens).items()}
        self._check(mean)
        overflow = [name for name, g in mean.items() if not torch.isfinite(g).all()]
        if overflow and self._growth_interval is None:
            raise ValueError(f"gradient of {overflow[0]!r}: found a number that is not finite; no step is taken")
        if overflow:
            self.loss_scale, self._good = self.loss_scale / 2, 0
            return math.inf
        clipped, norm = clip_gradients(mean, math.inf if self._max_norm is None else self._max_norm)
        self._update(clipped)
        self._good += 1
        if self._growth_interval and self._good == self._growth_interval:
            self.loss_scale, self._good = self.loss_scale * 2, 0
        return float(norm)

    def weights(self) -> Tensors:
        """Copies of the current weights."""
        return {name: w.clone() for name, w in self._weights.items()}

    def state(self) -> dict[str, Any]:
        """{"step": updates taken, "m": {name: first moment}, "v": {name: second moment}}, as copies."""
        m, v = ({name: t.clone() for name, t in kind.items()} for kind in (self._m, self._v))
        return {"step": self._step, "m": m, "v": v}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a result of `state`. Raises: ValueError naming the tensor, without changing anything."""
        for kind in ("m", "v"):
            self._check(state[kind], f"optimizer state {kind}")
        self._m, self._v = ({name: t.clone() for name, t in state[kind].items()} for kind in ("m", "v"))
        self._step = int(state["step"])

    def _update(self, grads: Tensors) -> None:
        self._step += 1
        for name, g in grads.items():
            self._weights[name], self._m[name], self._v[name] = adamw_step(
                self._weights[name],
                g,
                self._m[name],
                self._v[name],
                step=self._step,
                weight_decay=self._decay[name],
                **self._rates,
            )

    def _check(self, tensors: Tensors, what: str = "gradient") -> None:
        for name, w in self._weights.items():
            if name not in tensors:
                raise ValueError(f"{what}: found none for {name!r}, expected shape {tuple(w.shape)}")
            if tensors[name].shape != w.shape:
                raise ValueError(
                    f"{what} of {name!r}: found shape {tuple(tensors[name].shape)}, expected {tuple(w.shape)}"
                )
        strangers = sorted(set(tensors) - set(self._weights))
        if strangers:
            raise ValueError(f"{what}: found {strangers[0]!r}, expected only the model's tensors")


optimizer = Optimizer


def lr_at(step: int, *, peak: float, warmup: int, total: int, decay: str = "cosine", floor: float = 0.0) -> float:
    """Linear warm-up to `peak`, then "cosine" or "linear" decay to `floor` at `total`; step counts from 0.

    Raises: ValueError for another decay.
    """
    if decay not in ("cosine", "linear"):
        raise ValueError(f"schedule: found decay {decay!r}, expected cosine or linear")
    if step < warmup:
        return peak * step / warmup
    left = max(0.0, (total - step) / (total - warmup))
    return floor + (peak - floor) * (math.sin(math.pi * left / 2) ** 2 if decay == "cosine" else left)


def _check_rates(lr: float, eps: float) -> None:
    for name, rate in (("lr", lr), ("eps", eps)):
        if not 0 < rate < math.inf:
            raise ValueError(f"adamw: found {name} {rate}, expected a finite number above 0")
