"""Training that reaches the weights which inference reads, or never does (systems.md C9)."""

from __future__ import annotations

from typing import Any

import torch

from harness.mutant import mutant, replace


@mutant
def shared_storage(baseline: Any) -> Any:
    """The copy is a new dictionary of the same tensors: inference sees every update (systems.md C9)."""

    class Wrong(baseline.trainer_copy):
        def __init__(self, weights: Any, **rates: Any) -> None:
            super().__init__(weights, **rates)
            self.read = self.optimizer.parameters

    return replace(baseline, trainer_copy=Wrong)


@mutant
def shared_after_swap(baseline: Any) -> Any:
    """The swap exchanges references, and training goes on in the tensors that inference now reads
    (a reference kept for a copy: thunlp/OpenKE#131)."""

    class Wrong(baseline.trainer_copy):
        def swap(self) -> None:
            self.read = self.optimizer.parameters

    return replace(baseline, trainer_copy=Wrong)


@mutant
def one_tensor_shared(baseline: Any) -> Any:
    """One tensor, as a tied head, is not in the list of what is copied.
    Synthetic: parameters are listed once each, so that a tied tensor's second name is left out."""

    class Wrong(baseline.trainer_copy):
        def __init__(self, weights: Any, **rates: Any) -> None:
            super().__init__(weights, **rates)
            last = list(weights)[-1]
            self.read[last] = self.optimizer.parameters[last]

    return replace(baseline, trainer_copy=Wrong)


@mutant
def swap_does_nothing(baseline: Any) -> Any:
    """Training works, and inference never reads what it made.
    Synthetic: a local name is bound to the new weights, and the model keeps the old ones."""

    class Wrong(baseline.trainer_copy):
        def swap(self) -> None:
            pass

    return replace(baseline, trainer_copy=Wrong)


@mutant
def swap_keeps_biases(baseline: Any) -> Any:
    """Only matrices are taken over: vectors stay what they were.
    Synthetic: the filter that spares vectors from weight decay is reused for the copy."""

    class Wrong(baseline.trainer_copy):
        read: Any

        def swap(self) -> None:
            old = self.read
            super().swap()
            self.read = {name: w if w.ndim > 1 else old[name] for name, w in self.read.items()}

    return replace(baseline, trainer_copy=Wrong)


@mutant
def swap_begins_anew(baseline: Any) -> Any:
    """The swap makes a new optimizer, without the moments: the next updates are those of a cold start
    (alan-turing-institute/deepsensor#47)."""

    class Wrong(baseline.trainer_copy):
        optimizer: Any

        def __init__(self, weights: Any, **rates: Any) -> None:
            super().__init__(weights, **rates)
            self.rates = rates

        def swap(self) -> None:
            super().swap()
            self.optimizer = baseline.optimizer(self.optimizer.weights(), **self.rates)

    return replace(baseline, trainer_copy=Wrong)


@mutant
def copied_in_16_bits(baseline: Any) -> Any:
    """The weights that are read are kept in bfloat16, so the first swap is not needed to change them.
    Synthetic: inference runs in 16 bits, and the copy is made in the type that it wants."""

    class Wrong(baseline.trainer_copy):
        def inference_weights(self) -> Any:
            return {name: w.to(torch.bfloat16).to(w.dtype) for name, w in super().inference_weights().items()}

    return replace(baseline, trainer_copy=Wrong)
