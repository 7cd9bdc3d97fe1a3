"""Train a copy of the weights: inference reads the old weights until `swap`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.reference.training.optim import adamw_update, new_state

Arrays = Mapping[str, np.ndarray]


class TrainerCopy:
    """Two separate copies of the weights: inference reads one, training updates the other.

    Source: systems.md C9.
    """

    def __init__(self, weights: Arrays, **rates: Any) -> None:
        self._read = {name: w.copy() for name, w in weights.items()}
        self._trained = {name: w.copy() for name, w in weights.items()}
        self._state = new_state(weights)
        self._rates = rates

    def inference_weights(self) -> dict[str, np.ndarray]:
        """The weights that inference reads: those of the last swap, or the initial ones."""
        return {name: w.copy() for name, w in self._read.items()}

    def step(self, grads: Arrays) -> None:
        """One AdamW update of the trained copy. Raises: as adamw_update, without changing anything."""
        self._trained, self._state = adamw_update(self._trained, grads, self._state, **self._rates)

    def swap(self) -> None:
        """Copy the trained weights to the inference weights."""
        self._read = {name: w.copy() for name, w in self._trained.items()}
