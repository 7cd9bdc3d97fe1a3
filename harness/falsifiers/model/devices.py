"""Falsifier of equal logits on two devices: on the CPU in one batch, and on the run's device row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.synthetic_model import case_tokens, case_weights, small_config
from harness.observation import Observation
from harness.platforms import ON_HOST

MEASURES = {
    "device_difference": "relative L2 difference of logits on the device and on the CPU, same candidate and dtype",
    "worst_row_difference": "root mean square difference at the worst position over the root mean square of all logits",
}


def host_and_device(subject: Any, case: Case, *, length: int, batch: int = 3) -> Observation:
    """Logits computed on the CPU, all rows at once, against logits of the run's device, one row at a time.

    The subject computes both. The rehearsal device has the CPU's kernels and would give equal bits, which would say
    nothing of the limits; so there the second model is the same function with its channels in reverse order, which
    reverses every sum.
    Shapes: tokens (batch, length) -> logits (batch, length, vocab).
    """
    config = small_config()
    weights, tokens = case_weights(case, config), case_tokens(case, config, batch, length)
    host = subject.load(config, weights, device="cpu").logits(tokens).astype(np.float64)
    if case.device.partition(":")[0] in ON_HOST:
        weights = {name: _backwards(name, tensor) for name, tensor in weights.items()}
    model = subject.load(config, weights)
    there = np.concatenate([model.logits(row[None]) for row in tokens]).astype(np.float64)
    size = np.sqrt(np.mean(host**2))
    return Observation(
        device_difference=np.sqrt(np.mean((there - host) ** 2)) / size,
        worst_row_difference=np.sqrt(np.mean((there - host) ** 2, axis=-1)).max() / size,
    )


def _backwards(name: str, tensor: np.ndarray) -> np.ndarray:
    """The tensor of the same function with the channels of residual stream and MLP in reverse order."""
    if name.endswith(".bias"):
        return tensor
    if name.endswith("o_proj.weight"):
        return np.ascontiguousarray(tensor[::-1])
    if name.endswith(("gate_proj.weight", "up_proj.weight", "down_proj.weight")):
        return np.ascontiguousarray(tensor[::-1, ::-1])
    return np.ascontiguousarray(tensor[..., ::-1])
