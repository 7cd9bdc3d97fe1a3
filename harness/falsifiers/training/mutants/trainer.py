"""Trainers that take a wrong step, train on what they must refuse, or do not do the same thing twice."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import torch

from harness.mutant import mutant, replace

Tensors = dict[str, torch.Tensor]


def _train(baseline: Any, loop: type) -> Any:
    """The baseline with another loop behind `train`."""

    def train(config: Mapping[str, Any], weights: Any, batches: Any, **options: Any) -> dict[str, Any]:
        made: dict[str, Any] = loop(config, weights, batches, **options).run()
        return made

    def taking(
        config: Mapping[str, Any], weights: Any, batches: Any, *, dtype: str, device: str, **options: Any
    ) -> Any:
        return train(config, weights, batches, dtype=dtype, device=device, **options)

    return replace(baseline, train=taking)


@mutant
def seed_from_the_clock(baseline: Any) -> Any:
    """The seed is asked for and never used: everything is drawn anew each time (vanvalenlab/deepcell-tf#162)."""

    class Wrong(baseline.Loop):
        def sow(self) -> None:
            torch.manual_seed(time.time_ns() ^ os.getpid())

    return _train(baseline, Wrong)


@mutant
def seed_is_always_zero(baseline: Any) -> Any:
    """Reproducible, and every seed is the same run (with a fixed 42: MakazhanAlpamys/Soup#341)."""

    class Wrong(baseline.Loop):
        def __init__(self, *args: Any, seed: int | None = None, **options: Any) -> None:
            super().__init__(*args, seed=0, **options)

    return _train(baseline, Wrong)


@mutant
def order_of_a_set(baseline: Any) -> Any:
    """The files are listed by a set of their names: the same order in one process, another in the next
    (Emmi-AI/noether#180)."""

    class Wrong(baseline.Loop):
        def order(self) -> list[int]:
            names = {f"shard-{i:05d}.bin" for i in range(len(self.batches))}
            epoch = [int(name[6:11]) for name in names]
            wanted = self.steps or len(epoch)
            return (epoch * (wanted // len(epoch) + 1))[:wanted]

    return _train(baseline, Wrong)


@mutant
def dropout_left_unseeded(baseline: Any) -> Any:
    """Noise in training comes from a generator that nobody seeds.
    Synthetic: NumPy, Python and torch each have generators, and seeding one of them looks sufficient."""

    class Wrong(baseline.Loop):
        def loss(self, leaves: Any, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            noise = torch.Generator()
            noise.seed()
            kept = torch.rand(tokens.shape, generator=noise) > 0.1
            return super().loss(leaves, torch.where(kept, tokens, 0), targets)

    return _train(baseline, Wrong)


@mutant
def trained_on_one_batch(baseline: Any) -> Any:
    """Every step takes the first batch again: the curve falls, and the order says so (ZhaoJ9014/face.evoLVe#39)."""

    class Wrong(baseline.Loop):
        def step(self, i: int) -> tuple[float, float]:
            found: tuple[float, float] = super().step(0)
            return found

    return _train(baseline, Wrong)


@mutant
def never_steps(baseline: Any) -> Any:
    """The loss is computed and nothing moves (system A's first trainer)."""

    class Wrong(baseline.Loop):
        def update(self, grads: list[Tensors], counts: list[int]) -> float:
            before = self.optimizer.weights()
            norm: float = super().update(grads, counts)
            for name, p in self.optimizer.parameters.items():
                p.data.copy_(before[name])
            return norm

    return _train(baseline, Wrong)


@mutant
def mean_of_micro_batch_means(baseline: Any) -> Any:
    """Each micro-batch weighs the same, however few of its targets count (huggingface/transformers#34191)."""

    class Wrong(baseline.Loop):
        def update(self, grads: list[Tensors], counts: list[int]) -> float:
            norm: float = super().update(grads, [1] * len(counts))
            return norm

    return _train(baseline, Wrong)


@mutant
def gradients_left_scaled(baseline: Any) -> Any:
    """The scaled gradient is clipped and reported as it is (Lightning-AI/pytorch-lightning#9606)."""

    class Wrong(baseline.Loop):
        def update(self, grads: list[Tensors], counts: list[int]) -> float:
            scale = self.optimizer.loss_scale
            norm: float = super().update([{n: g * scale for n, g in part.items()} for part in grads], counts)
            return norm

    return _train(baseline, Wrong)


@mutant
def weights_kept_in_sixteen_bits(baseline: Any) -> Any:
    """No float32 copy: an update below half a bit of its weight is lost, every step (vllm-project/speculators#765)."""

    class Wrong(baseline.Loop):
        def update(self, grads: list[Tensors], counts: list[int]) -> float:
            norm: float = super().update(grads, counts)
            for p in self.optimizer.parameters.values():
                p.data.copy_(p.data.bfloat16())
            return norm

    return _train(baseline, Wrong)


@mutant
def clip_ignored(baseline: Any) -> Any:
    """max_norm is read and never handed on (msalhab96/SpeeQ#50)."""

    class Wrong(baseline.Loop):
        def __init__(self, *args: Any, max_norm: float | None = None, **options: Any) -> None:
            super().__init__(*args, **options)

    return _train(baseline, Wrong)


@mutant
def loss_of_the_last_micro_batch(baseline: Any) -> Any:
    """The loss that is logged is the last micro-batch's, not the batch's (allenai/allennlp#4706)."""

    class Wrong(baseline.Loop):
        def loss(self, leaves: Any, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            self.last: torch.Tensor = super().loss(leaves, tokens, targets)
            return self.last

        def step(self, i: int) -> tuple[float, float]:
            _, norm = super().step(i)
            return float(self.last.detach()), norm

    return _train(baseline, Wrong)


@mutant
def nan_replaced_by_the_running_mean(baseline: Any) -> Any:
    """A loss that is not finite is logged as the mean so far, and its step left out (huggingface/trl#6702)."""

    class Wrong(baseline.Loop):
        seen: float = 0.0

        def step(self, i: int) -> tuple[float, float]:
            try:
                self.seen, norm = super().step(i)
            except ValueError:
                return self.seen, 0.0
            return self.seen, norm

    return _train(baseline, Wrong)


@mutant
def refused_without_the_batch(baseline: Any) -> Any:
    """Refused, and which of the batches is for the user to find.
    Synthetic: the check sees one batch and not its number, which the loop has."""

    class Wrong(baseline.Loop):
        def step(self, i: int) -> tuple[float, float]:
            try:
                found: tuple[float, float] = super().step(i)
            except (ValueError, IndexError):
                raise ValueError("bad batch") from None
            return found

    return _train(baseline, Wrong)
