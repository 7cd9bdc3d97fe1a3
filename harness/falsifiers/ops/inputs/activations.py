"""Inputs on which a wrong activation shows: both signs, small, ordinary and saturated, in ragged lengths."""

from __future__ import annotations

import numpy as np

from harness.case import Case
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.activations import (
    elu_forward,
    gelu_forward,
    gelu_tanh_forward,
    leaky_relu_forward,
    relu_forward,
    sigmoid_forward,
    silu_forward,
    swiglu_forward,
    tanh_forward,
)


def gelu(case: Case, variant: int = 0, *, rows: int, length: int, std: float) -> Call:
    """Shapes: x (rows, length), of standard deviation std."""
    return Call((_values(case, variant, (rows, length), std),), gelu_forward)


def gelu_tanh(case: Case, variant: int = 0, *, rows: int, length: int, std: float) -> Call:
    """Shapes: x (rows, length), of standard deviation std."""
    return Call((_values(case, variant, (rows, length), std),), gelu_tanh_forward)


def silu(case: Case, variant: int = 0, *, rows: int, length: int, std: float) -> Call:
    """Shapes: x (rows, length), of standard deviation std."""
    return Call((_values(case, variant, (rows, length), std),), silu_forward)


def relu(case: Case, variant: int = 0, *, rows: int, length: int, std: float) -> Call:
    """Shapes: x (rows, length), of standard deviation std."""
    return Call((_values(case, variant, (rows, length), std),), relu_forward)


def leaky_relu(case: Case, variant: int = 0, *, rows: int, length: int, std: float, slope: float) -> Call:
    """Shapes: x (rows, length), of standard deviation std."""
    return Call((_values(case, variant, (rows, length), std), slope), leaky_relu_forward)


def elu(case: Case, variant: int = 0, *, rows: int, length: int, std: float, alpha: float) -> Call:
    """Shapes: x (rows, length), of standard deviation std."""
    return Call((_values(case, variant, (rows, length), std), alpha), elu_forward)


def sigmoid(case: Case, variant: int = 0, *, rows: int, length: int, std: float) -> Call:
    """Shapes: x (rows, length), of standard deviation std."""
    return Call((_values(case, variant, (rows, length), std),), sigmoid_forward)


def tanh(case: Case, variant: int = 0, *, rows: int, length: int, std: float) -> Call:
    """Shapes: x (rows, length), of standard deviation std."""
    return Call((_values(case, variant, (rows, length), std),), tanh_forward)


def swiglu(case: Case, variant: int = 0, *, rows: int, length: int, std: float) -> Call:
    """Only the gate is of standard deviation std: the product stays inside float16.

    Shapes: gate and up (rows, length).
    """
    gate = case.normal(f"gate{variant}", (rows, length), std=std)
    up = case.normal(f"up{variant}", (rows, length), mean=0.5)
    return Call((gate, up), swiglu_forward)


def _values(case: Case, variant: int, shape: tuple[int, int], std: float) -> np.ndarray:
    """Every eleventh number is 0 and the one behind it -0: a slope there is a convention."""

    def build() -> np.ndarray:
        x = std * case.stream(f"x{variant}").standard_normal(shape)
        x[:, 5::11], x[:, 6::11] = 0.0, -0.0
        return np.asarray(x)

    return case.array(f"x{variant}", build)
