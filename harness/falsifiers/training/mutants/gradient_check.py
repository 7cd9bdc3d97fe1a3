"""Known-wrong gradients of a decoder whose loss is right: the baseline's, spoilt as trainers have spoilt them."""

from __future__ import annotations

from typing import Any

import torch

from harness.falsifiers.training.mutants.composed_gradients import (
    final_norm_fed_its_output,
    gain_gradient_of_one_row,
    head_gradient_before_final_norm,
    norm_without_projection,
    repeated_token_assigned,
    softmax_without_row_sum,
)
from harness.falsifiers.training.mutants.spoilt_gradients import (
    DOWN,
    EMBEDDING,
    GATE,
    HEAD,
    IGNORED,
    KEY,
    UP,
    VALUE,
    Gradients,
    spoilt,
    wrapped,
)
from harness.mutant import mutant, replace


@mutant
def same_shape_swapped(baseline: Any) -> Any:
    """Two gradients of one shape change places: gate and up (O7: SMILELab-FL/FedLab#339, stripe/rainier#445)."""
    return spoilt(baseline, lambda model, tokens, targets, g: {**g, GATE: g[UP], UP: g[GATE]})


@mutant
def key_value_swapped(baseline: Any) -> Any:
    """Key and value gradients leave a fused buffer in the wrong order; they have one shape
    (O7: SMILELab-FL/FedLab#339)."""
    return spoilt(baseline, lambda model, tokens, targets, g: {**g, KEY: g[VALUE], VALUE: g[KEY]})


@mutant
def list_shorter(baseline: Any) -> Any:
    """The list ends before the weights do, and zip says nothing (O7: SMILELab-FL/FedLab#339)."""
    return spoilt(baseline, lambda model, tokens, targets, g: dict(list(g.items())[:-1]))


@mutant
def tensor_missing(baseline: Any) -> Any:
    """One tensor in the middle has no gradient (O6: cloneofsimo/lora#26)."""
    return spoilt(baseline, lambda model, tokens, targets, g: {name: grad for name, grad in g.items() if name != UP})


@mutant
def tensor_zero(baseline: Any) -> Any:
    """One tensor's gradient is all zero: its input was detached on the way (O6: huggingface/transformers#23990)."""
    return spoilt(baseline, lambda model, tokens, targets, g: {**g, DOWN: torch.zeros_like(g[DOWN])})


@mutant
def tied_head_listed_too(baseline: Any) -> Any:
    """One gradient too many: of a head that is no weight of its own, or of a rotary buffer.
    Synthetic: a state dict lists tied weights and buffers too, and a loop over it takes them for weights."""

    def edit(model: Any, tokens: torch.Tensor, targets: torch.Tensor, g: Gradients) -> Gradients:
        return {**g, HEAD if HEAD not in g else "model.rotary_emb.inv_freq": g[EMBEDDING].clone()}

    return spoilt(baseline, edit)


@mutant
def renamed(baseline: Any) -> Any:
    """The count is right and one name is not: the last norm under the name of another release (O7; system C4)."""
    other = {"model.norm.weight": "model.final_layernorm.weight"}
    return spoilt(baseline, lambda model, tokens, targets, g: {other.get(name, name): grad for name, grad in g.items()})


@mutant
def sorted_by_name(baseline: Any) -> Any:
    """Every gradient is right, in another order than the weights': layers.10 before layers.2 (O7; system C4)."""
    return spoilt(baseline, lambda model, tokens, targets, g: dict(sorted(g.items())))


@mutant
def transposed_shape(baseline: Any) -> Any:
    """A matrix's gradient as (in, out): x^T dout where dout^T x is right.
    Synthetic: textbooks keep weights as (in, out), torch as (out, in)."""
    return spoilt(baseline, lambda model, tokens, targets, g: {**g, DOWN: g[DOWN].T.contiguous()})


@mutant
def transposed_buffer(baseline: Any) -> Any:
    """The same in the right shape: the buffer of (in, out) read as (out, in), so that no shape tells
    (a reshape for a transpose: 1bit-MONSTER/1bit-MONSTER#572)."""

    def edit(model: Any, tokens: torch.Tensor, targets: torch.Tensor, g: Gradients) -> Gradients:
        return {**g, DOWN: g[DOWN].T.contiguous().view(g[DOWN].shape)}

    return spoilt(baseline, edit)


@mutant
def not_divided_by_count(baseline: Any) -> Any:
    """The loss is a mean, its gradient that of the sum: 1/N is missing (system A2)."""

    def edit(model: Any, tokens: torch.Tensor, targets: torch.Tensor, g: Gradients) -> Gradients:
        return {name: grad * (targets != IGNORED).sum() for name, grad in g.items()}

    return spoilt(baseline, edit)


@mutant
def loss_summed(baseline: Any) -> Any:
    """The loss is reported as the sum over tokens, the gradients are the mean's.
    Synthetic: loss and gradients are divided by the count apart, and one division is forgotten."""

    def wrap(model: Any) -> Any:
        def loss_and_grads(tokens: torch.Tensor, targets: torch.Tensor) -> tuple[float, Gradients]:
            loss, g = model.loss_and_grads(tokens, targets)
            return loss * int((targets != IGNORED).sum()), g

        return replace(model, loss_and_grads=loss_and_grads)

    return wrapped(baseline, wrap)


@mutant
def mean_of_row_means(baseline: Any) -> Any:
    """Gradients of the mean over rows of each row's mean: short rows weigh too much
    (T1: huggingface/transformers#34191)."""

    def edit(model: Any, tokens: torch.Tensor, targets: torch.Tensor, g: Gradients) -> Gradients:
        rows = [model.loss_and_grads(tokens[i : i + 1], targets[i : i + 1])[1] for i in range(len(tokens))]
        return {name: torch.stack([row[name] for row in rows]).mean(0) for name in g}

    return spoilt(baseline, edit)


MUTANTS = {
    "norm_without_projection": norm_without_projection,
    "softmax_without_row_sum": softmax_without_row_sum,
    "head_gradient_before_final_norm": head_gradient_before_final_norm,
    "final_norm_fed_its_output": final_norm_fed_its_output,
    "gain_gradient_of_one_row": gain_gradient_of_one_row,
    "repeated_token_assigned": repeated_token_assigned,
}
