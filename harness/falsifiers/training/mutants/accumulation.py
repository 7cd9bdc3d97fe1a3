"""Gradients averaged, unscaled and clipped in the wrong way or order."""

from __future__ import annotations

from typing import Any

import torch

from harness.mutant import mutant, replace

Tensors = dict[str, torch.Tensor]


@mutant
def mean_of_means(baseline: Any) -> Any:
    """Every micro-batch counts the same, however few its tokens (huggingface/transformers#34191)."""

    class Wrong(baseline.accumulator):
        def add(self, grads: Tensors, tokens: int) -> None:
            super().add(grads, 1)

    class Update(baseline.optimizer):
        def average(self, grads: list[Tensors], tokens: list[int]) -> None:
            super().average(grads, [1] * len(tokens))

    return replace(baseline, accumulator=Wrong, optimizer=Update)


@mutant
def sum_without_mean(baseline: Any) -> Any:
    """The token sum is never divided: the loss grows with the batch (huggingface/transformers#35438)."""

    class Wrong(baseline.accumulator):
        def mean(self) -> Tensors:
            return {name: g * sum(self.tokens) for name, g in super().mean().items()}

    return replace(baseline, accumulator=Wrong)


@mutant
def last_micro_batch_only(baseline: Any) -> Any:
    """Each backward pass overwrites the gradient (zero_grad inside the loop: bytetriper/RAE#67)."""

    class Wrong(baseline.accumulator):
        def mean(self) -> Tensors:
            return baseline.accumulate(self.grads[-1:], self.tokens[-1:])

    return replace(baseline, accumulator=Wrong)


@mutant
def not_reset(baseline: Any) -> Any:
    """The second update still holds the first one's gradients (zero_grad forgotten: meta-pytorch/torchforge#71)."""

    class Wrong(baseline.accumulator):
        def reset(self) -> None:
            if not hasattr(self, "grads"):
                super().reset()

    return replace(baseline, accumulator=Wrong)


@mutant
def tokens_not_reset(baseline: Any) -> Any:
    """The sums start anew and the token count goes on, so the second update is too small.
    Synthetic: gradients and count are reset by two statements, and the second is forgotten."""

    class Wrong(baseline.accumulator):
        def __init__(self) -> None:
            self.before = 0
            super().__init__()

        def reset(self) -> None:
            self.before += sum(getattr(self, "tokens", []))
            super().reset()

        def mean(self) -> Tensors:
            here = sum(self.tokens)
            return {name: g * (here / (here + self.before)) for name, g in super().mean().items()}

    return replace(baseline, accumulator=Wrong)


@mutant
def clipped_per_tensor(baseline: Any) -> Any:
    """Every tensor is clipped by its own norm: the direction changes (systems.md A4)."""

    def clip_gradients(grads: Tensors, max_norm: float) -> Any:
        clipped = {name: baseline.clip_gradients({name: g}, max_norm)[0][name] for name, g in grads.items()}
        return clipped, baseline.clip_gradients(grads, max_norm)[1]

    class Update(baseline.optimizer):
        def clip(self) -> float:
            norm = torch.stack([p.grad.norm() for p in self.parameters.values()]).norm()
            for p in self.parameters.values():
                torch.nn.utils.clip_grad_norm_([p], self.max_norm)
            return float(norm)

    return replace(baseline, clip_gradients=clip_gradients, optimizer=Update)


@mutant
def norm_of_the_clipped(baseline: Any) -> Any:
    """The norm after clipping is reported as the gradient's norm: never above max_norm (systems.md A4)."""

    def clip_gradients(grads: Tensors, max_norm: float) -> Any:
        clipped, _ = baseline.clip_gradients(grads, max_norm)
        return clipped, torch.stack([g.norm() for g in clipped.values()]).norm()

    class Update(baseline.optimizer):
        def clip(self) -> float:
            super().clip()
            return float(torch.stack([p.grad.norm() for p in self.parameters.values()]).norm())

    return replace(baseline, clip_gradients=clip_gradients, optimizer=Update)


@mutant
def only_the_first_block(baseline: Any) -> Any:
    """A tensor's elements beyond 65,536 are neither counted nor scaled. Synthetic: a grid of one launch covers 65,536
    elements, and no loop takes the rest."""

    def clip_gradients(grads: Tensors, max_norm: float) -> Any:
        heads = {name: g.flatten()[:65536] for name, g in grads.items()}
        clipped, norm = baseline.clip_gradients(heads, max_norm)
        whole = {n: torch.cat([clipped[n], g.flatten()[65536:]]).reshape(g.shape) for n, g in grads.items()}
        return whole, norm

    return replace(baseline, clip_gradients=clip_gradients)


@mutant
def always_rescaled(baseline: Any) -> Any:
    """Gradients below the limit are blown up to it (normalising, not clipping).
    Synthetic: the minimum with 1 is left out of the factor, and early gradients are all above the limit."""

    def clip_gradients(grads: Tensors, max_norm: float) -> Any:
        _, norm = baseline.clip_gradients(grads, max_norm)
        return {name: g * (max_norm / norm) for name, g in grads.items()}, norm

    return replace(baseline, clip_gradients=clip_gradients)


@mutant
def norm_of_norms_added(baseline: Any) -> Any:
    """The tensors' norms are added up, not their squares: too large a norm, too small a gradient
    (CannyLab/tsne-cuda#90)."""

    def clip_gradients(grads: Tensors, max_norm: float) -> Any:
        norm = torch.stack([g.norm() for g in grads.values()]).sum()
        return {name: g * torch.clamp(max_norm / norm, max=1.0) for name, g in grads.items()}, norm

    return replace(baseline, clip_gradients=clip_gradients)


@mutant
def clipped_by_value(baseline: Any) -> Any:
    """clip_grad_value_ where clip_grad_norm_ is meant (Happy-Algorithms-League/hal-cgp#210)."""

    def clip_gradients(grads: Tensors, max_norm: float) -> Any:
        norm = baseline.clip_gradients(grads, max_norm)[1]
        return {name: g.clamp(-max_norm, max_norm) for name, g in grads.items()}, norm

    return replace(baseline, clip_gradients=clip_gradients)


@mutant
def clipped_before_averaging(baseline: Any) -> Any:
    """Each micro-batch is clipped, and their mean is stepped on (systems.md A4)."""

    class Update(baseline.optimizer):
        def average(self, grads: list[Tensors], tokens: list[int]) -> None:
            bound = self.max_norm * self.loss_scale
            super().average([baseline.clip_gradients(part, bound)[0] for part in grads], tokens)

    return replace(baseline, optimizer=Update)


@mutant
def clipped_before_unscaling(baseline: Any) -> Any:
    """The scaled gradient is clipped, then divided by the scale (Lightning-AI/pytorch-lightning#9606)."""

    class Update(baseline.optimizer):
        def step(self, grads: list[Tensors], tokens: list[int]) -> float:
            self.average(grads, tokens)
            norm = self.clip() / self.loss_scale
            self.update()
            return norm

    return replace(baseline, optimizer=Update)


@mutant
def never_unscaled(baseline: Any) -> Any:
    """The gradient is stepped on with its loss scale in it; AdamW hides most of it.
    Synthetic: AdamW divides by the gradient's size, so that training goes on as if nothing were wrong."""

    class Update(baseline.optimizer):
        def average(self, grads: list[Tensors], tokens: list[int]) -> None:
            scale = self.loss_scale
            super().average([{name: g * scale for name, g in part.items()} for part in grads], tokens)

    return replace(baseline, optimizer=Update)


@mutant
def scale_updated_before_unscaling(baseline: Any) -> Any:
    """In the step on which the scale doubles, gradients are divided by the new one (deepspeedai/DeepSpeed#8588)."""

    class Update(baseline.optimizer):
        def __init__(self, weights: Tensors, *, growth_interval: int | None = None, **options: Any) -> None:
            super().__init__(weights, growth_interval=growth_interval, **options)
            self.interval, self.taken = growth_interval, 0

        def average(self, grads: list[Tensors], tokens: list[int]) -> None:
            super().average(grads, tokens)
            self.taken += 1
            if self.interval and self.taken % self.interval == 0:
                for p in self.parameters.values():
                    p.grad *= 0.5

    return replace(baseline, optimizer=Update)


@mutant
def scale_never_grows(baseline: Any) -> Any:
    """The growth interval is not looked at: after one overflow the scale stays low for good
    (facebookresearch/fairseq#1457)."""

    def optimizer(weights: Tensors, *, growth_interval: int | None = None, **options: Any) -> Any:
        return baseline.optimizer(weights, **options)

    return replace(baseline, optimizer=optimizer)
