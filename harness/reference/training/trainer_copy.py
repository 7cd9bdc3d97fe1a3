"""Training on a copy: inference keeps reading the old weights until the swap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.reference.training.optim import adamw_update, new_state

Arrays = Mapping[str, np.ndarray]


class TrainerCopy:
    """Two sets of weights that share no byte: one is read, one is trained.

    Source: systems.md C9.
    """

    def __init__(self, weights: Arrays, **rates: Any) -> None:
        self._read = {name: w.copy() for name, w in weights.items()}
        self._trained = {name: w.copy() for name, w in weights.items()}
        self._state = new_state(weights)
        self._rates = rates

    def inference_weights(self) -> dict[str, np.ndarray]:
        """What inference reads: the weights of the last swap, or the first ones."""
        return {name: w.copy() for name, w in self._read.items()}

    def step(self, grads: Arrays) -> None:
        """One AdamW update of the copy. Raises: as adamw_update, and nothing is changed."""
        self._trained, self._state = adamw_update(self._trained, grads, self._state, **self._rates)

    def swap(self) -> None:
        """Inference reads the trained weights from now on; training goes on, on a copy of them."""
        self._read = {name: w.copy() for name, w in self._trained.items()}
