"""Backward passes of activations and rotary embeddings that were written wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace


@mutant
def gelu_derivative_of_tanh_form(baseline: Any) -> Any:
    """The derivative of the tanh approximation under a GELU by erf (E1: kyutai-labs/pocket-tts#278)."""
    return replace(baseline, gelu_backward=baseline.gelu_tanh_backward)


@mutant
def gelu_tanh_derivative_of_erf_form(baseline: Any) -> Any:
    """The derivative of the GELU by erf under a tanh approximation (E1: kyutai-labs/pocket-tts#278)."""
    return replace(baseline, gelu_tanh_backward=baseline.gelu_backward)


@mutant
def gelu_density_missing(baseline: Any) -> Any:
    """dx = dout * Phi(x): the product rule's second term is missing.
    Synthetic: x * Phi(x) is differentiated as if Phi(x) were a constant."""

    def gelu_backward(dout: Tensor, x: Tensor) -> Tensor:
        return dout * torch.special.ndtr(x.double()).to(x.dtype)

    return replace(baseline, gelu_backward=gelu_backward)


@mutant
def gelu_tanh_cubic_slope_missing(baseline: Any) -> Any:
    """du/dx = sqrt(2 / pi), without 3 * 0.044715 x**2.
    Synthetic: the chain rule is applied to the linear part of the inner polynomial alone."""

    def gelu_tanh_backward(dout: Tensor, x: Tensor) -> Tensor:
        wide = x.double()
        t = torch.tanh((2 / torch.pi) ** 0.5 * (wide + 0.044715 * wide**3))
        return (dout * (0.5 * (1 + t) + 0.5 * wide * (1 - t * t) * (2 / torch.pi) ** 0.5)).to(x.dtype)

    return replace(baseline, gelu_tanh_backward=gelu_tanh_backward)


@mutant
def silu_derivative_of_sigmoid(baseline: Any) -> Any:
    """dx = dout * s * (1 - s). Synthetic: the sigmoid's own backward is reused, and the factor x is forgotten."""
    return replace(baseline, silu_backward=baseline.sigmoid_backward)


@mutant
def silu_sigmoid_alone(baseline: Any) -> Any:
    """dx = dout * s: the gate is taken for a constant. Synthetic: x * s is differentiated as if s were a constant."""
    return replace(baseline, silu_backward=lambda dout, x: dout * torch.sigmoid(x))


@mutant
def sigmoid_derivative_of_tanh(baseline: Any) -> Any:
    """dx = dout * (1 - s**2). Synthetic: the tanh's backward is copied, and the line that differs is left as it was."""
    return replace(baseline, sigmoid_backward=lambda dout, x: dout * (1 - torch.sigmoid(x) ** 2))


@mutant
def sigmoid_fed_its_output(baseline: Any) -> Any:
    """The cached output is taken for the input: s is applied twice.
    Synthetic: the forward caches its output, and the backward is written for the input."""
    return replace(baseline, sigmoid_backward=lambda dout, x: baseline.sigmoid_backward(dout, torch.sigmoid(x)))


@mutant
def tanh_square_missing(baseline: Any) -> Any:
    """dx = dout * (1 - out). Synthetic: 1 - out is the sigmoid's factor, and one square is easily left out."""
    return replace(baseline, tanh_backward=lambda dout, x: dout * (1 - torch.tanh(x)))


@mutant
def tanh_fed_its_output(baseline: Any) -> Any:
    """The cached output is taken for the input: tanh is applied twice.
    Synthetic: the forward caches its output, and the backward is written for the input."""
    return replace(baseline, tanh_backward=lambda dout, x: baseline.tanh_backward(dout, torch.tanh(x)))


@mutant
def relu_mask_of_gradient(baseline: Any) -> Any:
    """The mask is taken of dout, not of x, as in guided backpropagation (arXiv:1412.6806)."""
    return replace(baseline, relu_backward=lambda dout, x: dout.clamp(min=0))


@mutant
def relu_passes_everything(baseline: Any) -> Any:
    """dx = dout: the straight-through gradient (at slope 0: chainer/chainer#5898)."""
    return replace(baseline, relu_backward=lambda dout, x: dout.clone())


@mutant
def leaky_relu_slope_ignored(baseline: Any) -> Any:
    """The default slope, 0.01, whatever is asked for.
    Synthetic: the forward takes the slope, and the backward is called without it."""
    return replace(baseline, leaky_relu_backward=lambda dout, x, slope: baseline.leaky_relu_backward(dout, x, 0.01))


@mutant
def leaky_relu_slope_everywhere(baseline: Any) -> Any:
    """The slope multiplies the positive side too.
    Synthetic: the mask that selects the negative side is left out of the product."""
    return replace(baseline, leaky_relu_backward=lambda dout, x, slope: dout * slope)


@mutant
def elu_alpha_ignored(baseline: Any) -> Any:
    """alpha = 1, whatever is asked for (in the forward: phlippe/uvadlc_notebooks#161)."""
    return replace(baseline, elu_backward=lambda dout, x, alpha: baseline.elu_backward(dout, x, 1.0))


@mutant
def elu_output_for_slope(baseline: Any) -> Any:
    """alpha * (exp(x) - 1) for alpha * exp(x): the output is taken for the slope.
    Synthetic: the slope is out + alpha where the output is cached, and + alpha is forgotten."""

    def elu_backward(dout: Tensor, x: Tensor, alpha: float) -> Tensor:
        return torch.where(x > 0, dout, dout * alpha * torch.expm1(x.clamp(max=0)))

    return replace(baseline, elu_backward=elu_backward)


@mutant
def swiglu_gradients_swapped(baseline: Any) -> Any:
    """dgate and dup change places: both have the same shape (O7: SMILELab-FL/FedLab#339)."""
    return replace(baseline, swiglu_backward=lambda dout, gate, up: baseline.swiglu_backward(dout, gate, up)[::-1])


@mutant
def swiglu_roles_swapped(baseline: Any) -> Any:
    """silu is taken of up, not of gate (ml-explore/mlx-lm#767)."""
    return replace(baseline, swiglu_backward=lambda dout, gate, up: baseline.swiglu_backward(dout, up, gate)[::-1])


@mutant
def swiglu_up_missing(baseline: Any) -> Any:
    """dgate = dout * silu'(gate), without the factor up.
    Synthetic: the product rule's other factor is forgotten in one of two similar lines."""

    def swiglu_backward(dout: Tensor, gate: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        return baseline.swiglu_backward(dout, gate, torch.ones_like(up))[0], baseline.swiglu_backward(dout, gate, up)[1]

    return replace(baseline, swiglu_backward=swiglu_backward)


@mutant
def rope_rotates_forward(baseline: Any) -> Any:
    """dx is dout turned on, by the forward's angle: the transpose is forgotten.
    Synthetic: the backward calls the forward's kernel, which needs the sine with the other sign."""

    def rope_backward(dout: Tensor, x: Tensor, positions: Tensor, **options: Any) -> Tensor:
        return baseline.rope_backward(dout, x, -positions, **options)[0]

    return replace(baseline, rope_backward=rope_backward)


@mutant
def rope_passes_through(baseline: Any) -> Any:
    """dx = dout: the rotation is taken for one that preserves gradients.
    Synthetic: a rotation keeps lengths, which is taken for keeping the gradient."""
    return replace(baseline, rope_backward=lambda dout, x, positions, **options: dout.clone())


@mutant
def rope_offset_ignored(baseline: Any) -> Any:
    """The backward counts positions from 0 (K1: huggingface/transformers#47597)."""

    def rope_backward(dout: Tensor, x: Tensor, positions: Tensor, **options: Any) -> Tensor:
        if not positions[0]:
            raise Inapplicable("the positions start at 0")
        return baseline.rope_backward(dout, x, positions - positions[0], **options)[0]

    return replace(baseline, rope_backward=rope_backward)
