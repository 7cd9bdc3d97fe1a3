"""SwiGLUs that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.mutant import mutant, replace


@mutant
def gate_and_up_swapped(baseline: Any) -> Any:
    """The two halves of a fused gate_up projection are read in the other order: silu(up) * gate
    (ml-explore/mlx-lm#767)."""

    def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return baseline.swiglu(up, gate)

    return replace(baseline, swiglu=swiglu)


@mutant
def activation_missing(baseline: Any) -> Any:
    """gate * up: the activation of the gate is left out.
    Synthetic: a fused kernel takes the activation as an argument, and its default is none."""

    def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return gate * up

    return replace(baseline, swiglu=swiglu)


@mutant
def gate_missing(baseline: Any) -> Any:
    """silu(up): the product with the gate is left out.
    Synthetic: a plain feed-forward block with one projection is near at hand, and the shapes fit."""

    def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.silu(up)

    return replace(baseline, swiglu=swiglu)


@mutant
def gelu_for_silu(baseline: Any) -> Any:
    """GEGLU for SwiGLU, the reverse of huggingface/candle#3745."""

    def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.gelu(gate, approximate="tanh") * up

    return replace(baseline, swiglu=swiglu)


@mutant
def sigmoid_for_silu(baseline: Any) -> Any:
    """The plain GLU of arXiv:1612.08083: sigmoid(gate) * up."""

    def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(gate) * up

    return replace(baseline, swiglu=swiglu)
