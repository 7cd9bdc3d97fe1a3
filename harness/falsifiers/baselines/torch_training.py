"""Training metrics and training of a copy, built from torch.optim.swa_utils, collections and copy."""

from __future__ import annotations

import copy
import math
from collections import Counter, deque
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_avg_fn

from harness.falsifiers.baselines.torch_optim import Optimizer, optimizer

__all__ = ["ARRAYS", "Metrics", "TrainerCopy", "optimizer", "trainer_copy", "training_metrics"]
ARRAYS = "torch"
Tensors = dict[str, Tensor]


class Metrics:
    """Training metrics by torch.optim.swa_utils' moving average, a deque and a counter."""

    alpha = 0.01

    def __init__(self) -> None:
        self.seen: deque[float] = deque(maxlen=100)
        self.gate: Counter[bool] = Counter()
        self.average_loss = math.nan

    def record_loss(self, loss: float) -> None:
        """Record one loss; the first loss is the first average."""
        self.average_loss = self.averaged(loss) if self.seen else loss
        self.seen.append(loss)

    def averaged(self, loss: float) -> float:
        """The moving average after one more loss, in float64."""
        before, now = (torch.tensor(x, dtype=torch.float64) for x in (self.average_loss, loss))
        return float(get_ema_avg_fn(1 - self.alpha)(before, now, torch.tensor(1)))

    def record_gate(self, aligned: bool) -> None:
        """Record one gate decision."""
        self.gate[bool(aligned)] += 1

    @property
    def history(self) -> list[float]:
        """The last 100 losses."""
        return list(self.seen)

    @property
    def gate_alignment(self) -> float:
        """Share of aligned decisions."""
        return self.gate[True] / max(self.gate.total(), 1)

    @property
    def converged(self) -> bool:
        """At least 1,000 decisions, at least 95 % aligned."""
        return self.gate.total() >= 1000 and self.gate_alignment >= 0.95

    @property
    def loss_trend(self) -> float | None:
        """Mean of the last 10 losses minus the mean of the 10 before; None before 20 losses."""
        losses = self.history
        return fmean(losses[-10:]) - fmean(losses[-20:-10]) if len(losses) >= 20 else None


class TrainerCopy:
    """Inference reads a copy.deepcopy of the weights; torch.optim.AdamW trains the others."""

    def __init__(self, weights: Tensors, **rates: Any) -> None:
        self.optimizer = Optimizer(weights, **rates)
        self.read = copy.deepcopy(weights)

    def inference_weights(self) -> Tensors:
        """The weights that inference reads."""
        return {name: w.detach().clone() for name, w in self.read.items()}

    def step(self, grads: Tensors) -> None:
        """One update of the trained weights."""
        self.optimizer.step([grads], [1])

    def swap(self) -> None:
        """Copy the trained weights to the inference weights."""
        self.read = copy.deepcopy(dict(self.optimizer.parameters))


trainer_copy = TrainerCopy
training_metrics = Metrics
