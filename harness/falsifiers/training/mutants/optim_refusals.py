"""Optimizers that take what is wrong, or refuse it too late or without a name."""

from __future__ import annotations

from typing import Any

import torch

from harness.mutant import mutant, replace

Tensors = dict[str, torch.Tensor]


@mutant
def rates_not_looked_at(baseline: Any) -> Any:
    """lr 0 trains nothing and eps 0 divides by it, in silence (torch.optim.AdamW takes both).
    Synthetic: torch refuses negative values alone, and a port copies its checks."""

    class Wrong(baseline.optimizer):
        def check_rates(self, weights: Tensors, rates: dict[str, float], no_decay: Any) -> None:
            pass

    return replace(baseline, optimizer=Wrong)


@mutant
def nan_gradient_taken(baseline: Any) -> Any:
    """A NaN in one gradient is in that weight and its moments for good (kyutai-labs/pocket-tts#262)."""

    class Wrong(baseline.optimizer):
        def step(self, grads: list[Tensors], tokens: list[int]) -> float:
            self.average(grads, tokens)
            self.adamw.step()
            return self.clip()

        def average(self, grads: list[Tensors], tokens: list[int]) -> None:
            for part in grads:
                self.check_shapes(part)
            super().average(grads, tokens)

    return replace(baseline, optimizer=Wrong)


@mutant
def updated_before_refusing(baseline: Any) -> Any:
    """Tensor by tensor: the ones before the wrong one have moved when it is refused.
    Synthetic: the check stands inside the loop that updates, where it is shortest to write."""

    class Wrong(baseline.optimizer):
        def step(self, grads: list[Tensors], tokens: list[int]) -> float:
            sound = {n: torch.zeros_like(p) for n, p in self.parameters.items()}
            try:
                return super().step(grads, tokens)
            except ValueError:
                first = next(iter(sound))
                super().step([{**sound, first: grads[0][first]}], [1])
                raise

    return replace(baseline, optimizer=Wrong)


@mutant
def loaded_before_refusing(baseline: Any) -> Any:
    """The first moments are in place when the second ones are found not to fit.
    Synthetic: each array is checked where it is copied, one after the other."""

    class Wrong(baseline.optimizer):
        def load_state(self, state: Any) -> None:
            self.check_shapes(state["m"])
            super().load_state({**state, "v": self.state()["v"]})
            super().load_state(state)

    return replace(baseline, optimizer=Wrong)


@mutant
def refused_without_a_name(baseline: Any) -> Any:
    """Refused, and which tensor is for the user to find.
    Synthetic: the check sees an array and not its name, which the caller has."""

    class Wrong(baseline.optimizer):
        def check_shapes(self, tensors: Tensors) -> None:
            try:
                super().check_shapes(tensors)
            except ValueError:
                raise ValueError("shapes do not match") from None

    return replace(baseline, optimizer=Wrong)


@mutant
def missing_gradient_skipped(baseline: Any) -> Any:
    """A tensor without gradient is left as it is, in silence, as torch.optim leaves it
    (the gains of norms: paiml/aprender#2196)."""

    class Wrong(baseline.optimizer):
        def step(self, grads: list[Tensors], tokens: list[int]) -> float:
            whole = {n: torch.zeros_like(p) for n, p in self.parameters.items()}
            return super().step([{**whole, **part} for part in grads], tokens)

    return replace(baseline, optimizer=Wrong)


@mutant
def stranger_left_over(baseline: Any) -> Any:
    """A list longer than the weights: zip stops at the shorter one and says nothing (O7: SMILELab-FL/FedLab#339)."""

    class Wrong(baseline.optimizer):
        def step(self, grads: list[Tensors], tokens: list[int]) -> float:
            known = [{n: g for n, g in part.items() if n in self.parameters} for part in grads]
            norm: float = super().step(known, tokens)
            return norm

    return replace(baseline, optimizer=Wrong)


@mutant
def counts_not_looked_at(baseline: Any) -> Any:
    """A micro-batch of no tokens counts for nothing, and of two lists the longer one is cut.
    Synthetic: a weight of 0 is valid arithmetic, and zip does not compare lengths."""

    class Wrong(baseline.optimizer):
        def check_counts(self, grads: list[Tensors], tokens: list[int]) -> None:
            pass

        def average(self, grads: list[Tensors], tokens: list[int]) -> None:
            super().average(grads[: len(tokens)], tokens)

    return replace(baseline, optimizer=Wrong)
