"""ReLUs that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.mutant import mutant, replace


@mutant
def clipped_at_six(baseline: Any) -> Any:
    """ReLU6 for ReLU: the clip of a quantised graph stays in the float one.
    Synthetic: converters write both as one Clip node, and small activations never reach 6."""

    def relu(x: torch.Tensor) -> torch.Tensor:
        return torch.clamp(x, 0, 6)

    return replace(baseline, relu=relu)


@mutant
def leaks_below_zero(baseline: Any) -> Any:
    """The default slope of leaky ReLU, 0.01, where none was asked for.
    Synthetic: one kernel serves both, and its slope argument keeps its default."""

    def relu(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.leaky_relu(x, 0.01)

    return replace(baseline, relu=relu)


@mutant
def absolute_value(baseline: Any) -> Any:
    """The sign bit is cleared instead of the value.
    Synthetic: a bit mask that is one instruction short clears the sign and keeps the rest."""

    def relu(x: torch.Tensor) -> torch.Tensor:
        return x.abs()

    return replace(baseline, relu=relu)
