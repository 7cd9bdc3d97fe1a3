"""Gradients of head, final norm and bypassed embeddings that look right and are not (systems A2 and A3)."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from harness.mutant import replace

EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
IGNORED = -100
Weights = dict[str, Tensor]


def missing_one_over_n(baseline: Any) -> Any:
    """The gradient is of the sum of losses and the loss the mean (system A2)."""
    return _edited(baseline, lambda grads, at: {n: g * at.count for n, g in grads.items()})


def ignored_targets_divided_by(baseline: Any) -> Any:
    """The sum is divided by all positions, ignored ones too (T3: open-mmlab/mmsegmentation#886)."""
    return _edited(baseline, lambda grads, at: {n: g * at.count / at.targets.numel() for n, g in grads.items()})


def ignored_targets_get_a_gradient(baseline: Any) -> Any:
    """Softmax minus nothing is sent back from padding: its rows pull the logits down (T3: flagos-ai/FlagGems#73)."""

    def edit(grads: Weights, at: Any) -> Weights:
        padding = (at.targets == IGNORED)[..., None]
        pull = torch.where(padding, at.logits.softmax(-1), 0.0) / at.count
        return {**grads, HEAD: grads[HEAD] + pull.flatten(0, 1).T @ at.out.flatten(0, 1)}

    return _edited(baseline, edit)


def divided_by_the_gain(baseline: Any) -> Any:
    """The normalised row is recovered as out / gain: 0 / 0 where a gain is 0 (system A2)."""
    return _edited(baseline, lambda grads, at: {**grads, NORM: grads[NORM] * at.gain / at.gain})


def zero_where_the_gain_is(baseline: Any) -> Any:
    """out / gain guarded by a 0, so a gain that is 0 never moves again (system A2)."""
    return _edited(baseline, lambda grads, at: {**grads, NORM: grads[NORM] * (at.gain != 0)})


def gain_summed_over_the_wrong_axis(baseline: Any) -> Any:
    """Summed over channels and not over tokens; with as many tokens as channels the shape is right (system A2)."""
    return _edited(baseline, lambda grads, at: {**grads, NORM: (at.dout * at.normalised).sum(-1).flatten()})


def head_reads_the_unnormalised(baseline: Any) -> Any:
    """The head's gradient is taken with the norm's input in place of its output (system A2)."""

    def edit(grads: Weights, at: Any) -> Weights:
        return {**grads, HEAD: at.dlogits.flatten(0, 1).T @ at.x.flatten(0, 1)}

    return _edited(baseline, edit)


def bypass_with_the_sign_flipped(baseline: Any) -> Any:
    """The bypass climbs (system A3)."""
    return _edited(baseline, lambda grads, at: {**grads, EMBEDDING: -grads[EMBEDDING]})


def bypass_scaled_by_the_norm_twice(baseline: Any) -> Any:
    """1/rms is applied in the norm's backward and once more on the way to the embedding (system A3)."""
    return _scattered(baseline, lambda at: at.dx * at.inverse_rms)


def bypass_of_the_sum(baseline: Any) -> Any:
    """The bypass alone lacks 1/N, so the embeddings move N times too far (system A2, A3)."""
    return _edited(baseline, lambda grads, at: {**grads, EMBEDDING: grads[EMBEDDING] * at.count})


def bypass_past_the_norm(baseline: Any) -> Any:
    """The gradient at the norm's output goes to the embeddings: the norm's backward is left out (system A3)."""
    return _scattered(baseline, lambda at: at.dout)


def bypass_is_the_exact_gradient(baseline: Any) -> Any:
    """The body is frozen and nothing is detached, so the embeddings get what the bypass only stands in for
    (system A3)."""

    def grads(config: Any, weights: Weights, tokens: Tensor, targets: Tensor, **kind: str) -> tuple[float, Weights]:
        loss, _ = baseline.endpoint_grads(config, weights, tokens, targets, **kind)
        return loss, baseline.exact_grads(config, weights, tokens, targets, **kind)

    return grads_as(baseline, grads)


def embedding_assigned(baseline: Any) -> Any:
    """A token that comes twice keeps its last gradient only: assignment for addition (system C2)."""

    def edit(grads: Weights, at: Any) -> Weights:
        found = torch.zeros_like(grads[EMBEDDING])
        for token, row in zip(at.tokens.flatten().tolist(), at.dx.flatten(0, 1), strict=True):
            found[token] = row
        return {**grads, EMBEDDING: found}

    return _edited(baseline, edit)


def grads_as(baseline: Any, grads: Callable[..., tuple[float, Weights]]) -> Any:
    def endpoint_grads(
        config: Any, weights: Weights, tokens: Tensor, targets: Tensor, *, dtype: str, device: str
    ) -> tuple[float, Weights]:
        return grads(config, weights, tokens, targets, dtype=dtype, device=device)

    return replace(baseline, endpoint_grads=endpoint_grads)


def _edited(baseline: Any, edit: Callable[[Weights, Any], Weights]) -> Any:
    """The baseline whose gradients are `edit(gradients, what the norm saw)`."""

    def grads(config: Any, weights: Weights, tokens: Tensor, targets: Tensor, **kind: str) -> tuple[float, Weights]:
        loss, found = baseline.endpoint_grads(config, weights, tokens, targets, **kind)
        return loss, edit(found, _at_norm(baseline, config, weights, tokens, targets, kind))

    return grads_as(baseline, grads)


def _scattered(baseline: Any, row: Callable[[Any], Tensor]) -> Any:
    """The baseline whose bypass adds `row(what the norm saw)` (B, T, C) to the embedding rows."""

    def edit(grads: Weights, at: Any) -> Weights:
        zeros = torch.zeros_like(grads[EMBEDDING])
        rows = row(at).flatten(0, 1).to(zeros)
        return {**grads, EMBEDDING: zeros.index_add(0, at.tokens.flatten(), rows)}

    return _edited(baseline, edit)


def _at_norm(
    baseline: Any, config: Any, weights: Weights, tokens: Tensor, targets: Tensor, kind: dict[str, str]
) -> SimpleNamespace:
    """The final norm's input and output with their gradients, from which the wrong versions are made."""
    model = baseline.load(config, weights, **kind).model
    seen: list[Tensor] = []
    model.model.norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        model.model(input_ids=tokens, use_cache=False)
    x = seen[0].detach().requires_grad_()
    out = model.model.norm(x)
    logits = model.lm_head(out)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    dx, dout, dlogits = torch.autograd.grad(loss, (x, out, logits))
    inverse_rms = torch.rsqrt(x.detach().square().mean(-1, keepdim=True) + config["rms_norm_eps"])
    return SimpleNamespace(
        tokens=tokens,
        targets=targets,
        count=int((targets != IGNORED).sum()),
        gain=weights[NORM],
        x=x.detach(),
        dx=dx,
        dout=dout,
        out=out.detach(),
        logits=logits.detach(),
        dlogits=dlogits,
        inverse_rms=inverse_rms,
        normalised=x.detach() * inverse_rms,
    )
