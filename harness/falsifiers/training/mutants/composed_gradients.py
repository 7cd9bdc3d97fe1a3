"""Composition mistakes: backward passes whose every step is right and whose joints are not, beside a right loss."""

from __future__ import annotations

import sys
from types import MethodType
from typing import Any
from unittest.mock import patch

import torch
from torch.nn.functional import cross_entropy

from harness.falsifiers.baselines.width import widened
from harness.falsifiers.training.mutants.spoilt_gradients import (
    EMBEDDING,
    GAIN,
    HEAD,
    IGNORED,
    Gradients,
    spoilt,
    wrapped,
)
from harness.mutant import replace


def norm_without_projection(baseline: Any) -> Any:
    """RMSNorm's backward holds the rms constant: the term along the normalised row is missing (system C2)."""

    def wrap(model: Any) -> Any:
        for module in model.model.modules():
            if type(module).__name__.endswith("RMSNorm"):
                module.forward = MethodType(_norm_of_constant_rms, module)
        return model

    return wrapped(baseline, wrap)


def softmax_without_row_sum(baseline: Any) -> Any:
    """The softmax's Jacobian by its diagonal alone, dS = P dP: what a row must sum to is lost (system C2)."""

    def wrap(model: Any) -> Any:
        code, config = sys.modules[type(model.model).__module__], model.model.config

        def loss_and_grads(tokens: torch.Tensor, targets: torch.Tensor) -> tuple[float, Gradients]:
            eager = patch.object(config, "_attn_implementation_internal", "eager")
            with eager, patch.object(code, "eager_attention_forward", _attention_of_constant_sum):
                wrong = model.loss_and_grads(tokens, targets)[1]
            return model.loss_and_grads(tokens, targets)[0], wrong

        return replace(model, loss_and_grads=loss_and_grads)

    return wrapped(baseline, wrap)


def head_gradient_before_final_norm(baseline: Any) -> Any:
    """The head's gradient is taken with the state before the final norm (system C3's first, in its decoder form)."""

    def edit(model: Any, tokens: torch.Tensor, targets: torch.Tensor, g: Gradients) -> Gradients:
        before, after, dlogits = _head(model, tokens, targets)
        name = HEAD if HEAD in g else EMBEDDING
        return {**g, name: g[name] + torch.einsum("btv,btc->vc", dlogits, before - after)}

    return spoilt(baseline, edit)


def final_norm_fed_its_output(baseline: Any) -> Any:
    """The final norm's gain gradient is taken with the normed state for the raw one (system C3)."""

    def edit(model: Any, tokens: torch.Tensor, targets: torch.Tensor, g: Gradients) -> Gradients:
        _, after, dlogits = _head(model, tokens, targets)
        dout = dlogits @ model.model.get_output_embeddings().weight.detach()
        wrong = after * torch.rsqrt(after.square().mean(-1, keepdim=True))
        return {**g, "model.norm.weight": (dout * wrong).sum((0, 1)).to(after.dtype)}

    return spoilt(baseline, edit)


def gain_gradient_of_one_row(baseline: Any) -> Any:
    """A gain's gradient is not summed over the batch: the first row's alone (system A2, the sum over a wrong axis)."""

    def edit(model: Any, tokens: torch.Tensor, targets: torch.Tensor, g: Gradients) -> Gradients:
        kept = targets.clone()
        kept[1:] = IGNORED
        share = (kept != IGNORED).sum() / (targets != IGNORED).sum()
        return {**g, GAIN: model.loss_and_grads(tokens, kept)[1][GAIN] * share}

    return spoilt(baseline, edit)


def repeated_token_assigned(baseline: Any) -> Any:
    """A token that comes twice gets the gradient of its last place only: assigned, not added (system C2)."""

    def edit(model: Any, tokens: torch.Tensor, targets: torch.Tensor, g: Gradients) -> Gradients:
        dx = _embedding_gradient(model, tokens, targets)
        summed, assigned = torch.zeros_like(g[EMBEDDING]), torch.zeros_like(g[EMBEDDING])
        for token, row in zip(tokens.flatten(), dx.flatten(0, 1), strict=True):
            summed[token] += row
            assigned[token] = row
        return {**g, EMBEDDING: g[EMBEDDING] - summed + assigned}

    return spoilt(baseline, edit)


def _norm_of_constant_rms(self: Any, x: torch.Tensor) -> torch.Tensor:
    wide = widened(x)
    inverse = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
    return self.weight * (wide * inverse.detach()).to(x.dtype)


def _attention_of_constant_sum(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, scaling: float, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eager attention whose softmax takes the sum of a row for a constant."""
    keys, values = (x.repeat_interleave(module.num_key_value_groups, dim=1) for x in (key, value))
    future = torch.ones(query.shape[2], keys.shape[2], dtype=torch.bool, device=query.device).triu(1)
    scores = (query @ keys.mT * scaling).masked_fill(future, float("-inf"))
    raised = torch.exp(scores - scores.amax(dim=-1, keepdim=True).detach())
    probs = raised / raised.sum(dim=-1, keepdim=True).detach()
    return (probs @ values).transpose(1, 2), probs


def _loss(model: Any, tokens: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    logits = model.model(input_ids=tokens, use_cache=False).logits
    wide = widened(logits)
    return cross_entropy(wide.flatten(0, 1), targets.flatten()), logits


@torch.enable_grad()
def _head(model: Any, tokens: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """State before and after the final norm (B, T, C), and the gradient by the logits (B, T, V)."""
    seen: list[torch.Tensor] = []
    hook = model.model.model.norm.register_forward_hook(lambda _, inputs, out: seen.extend((inputs[0], out)))
    loss, logits = _loss(model, tokens, targets)
    hook.remove()
    (dlogits,) = torch.autograd.grad(loss, logits)
    return seen[0].detach(), seen[1].detach(), dlogits


@torch.enable_grad()
def _embedding_gradient(model: Any, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """By the embedded tokens (B, T, C)."""
    seen: list[torch.Tensor] = []
    hook = model.model.get_input_embeddings().register_forward_hook(lambda _, inputs, out: seen.append(out))
    loss, _ = _loss(model, tokens, targets)
    hook.remove()
    return torch.autograd.grad(loss, seen[0])[0]
