"""Optimizers that mishandle an overflow of the scaled gradient."""

from __future__ import annotations

from typing import Any

import torch

from harness.mutant import mutant, replace

Tensors = dict[str, torch.Tensor]


@mutant
def overflow_taken(baseline: Any) -> Any:
    """The step is taken whatever the gradient holds: one inf is in its weight for good
    (no found_inf check: kyutai-labs/pocket-tts#262)."""

    class Wrong(baseline.optimizer):
        def update(self) -> None:
            self.adamw.step()
            self.scaler.update()

    return replace(baseline, optimizer=Wrong)


@mutant
def infinities_zeroed(baseline: Any) -> Any:
    """torch.nan_to_num in the loop: the step is taken without the number, and the scale never comes down.
    Synthetic: nan_to_num is the quick cure of a NaN loss, and it runs before the scaler looks."""

    class Wrong(baseline.optimizer):
        def average(self, grads: list[Tensors], tokens: list[int]) -> None:
            clean = [{n: torch.nan_to_num(g, posinf=0.0) for n, g in part.items()} for part in grads]
            super().average(clean, tokens)

    return replace(baseline, optimizer=Wrong)


@mutant
def scale_never_backs_off(baseline: Any) -> Any:
    """The step is left out and the scale stays: the next step overflows as well, and so on
    (keras-team/tf-keras#644, at a scale of 1)."""

    class Wrong(baseline.optimizer):
        def __init__(self, weights: Tensors, **options: Any) -> None:
            super().__init__(weights, **options)
            self.scaler.set_backoff_factor(1.0 - 1e-12)

    return replace(baseline, optimizer=Wrong)


@mutant
def good_steps_counted_across_overflows(baseline: Any) -> Any:
    """The growth counter is not reset: the scale doubles after so many good steps in all, not in a row.
    Synthetic: the branch of an overflow lowers the scale and forgets the counter."""

    class Wrong(baseline.optimizer):
        def update(self) -> None:
            tracker, scale = self.scaler._growth_tracker.clone(), self.loss_scale
            super().update()
            if self.loss_scale < scale:
                self.scaler._growth_tracker.copy_(tracker)

    return replace(baseline, optimizer=Wrong)


@mutant
def skipped_step_is_counted(baseline: Any) -> Any:
    """The step left out advances the bias correction: the next updates are too small
    (the schedule's count, in huggingface/accelerate#4242)."""

    class Wrong(baseline.optimizer):
        def update(self) -> None:
            before = self.state()["step"]
            super().update()
            if self.state()["step"] == before:
                for state in filter(None, self.adamw.state.values()):
                    state["step"] += 1

    return replace(baseline, optimizer=Wrong)
