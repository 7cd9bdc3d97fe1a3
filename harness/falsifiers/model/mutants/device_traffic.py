"""Decoders that are right, and do part of their work on the host or wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.mutant import NotRun, mutant, replace

Edit = Callable[[Any], None]


@mutant
def mask_on_host(baseline: Any) -> Any:
    """The causal mask is built on the CPU at each call and uploaded (system D8)."""

    def edit(decoder: Any) -> None:
        embed = decoder.model.model.embed_tokens

        def hook(module: Any, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
            seen = torch.ones(out.shape[1], out.shape[1], dtype=torch.bool).tril().to(out.device)
            return out * seen.any(-1)[:, None].to(out.dtype)

        embed.register_forward_hook(hook)

    return _loaded(baseline, edit)


@mutant
def layer_through_host(baseline: Any) -> Any:
    """One layer's MLP output makes a round trip: `.cpu()`, then back (Synthetic: debugging code left in)."""
    return _hooked(baseline, lambda out: out.cpu().to(out.device))


@mutant
def table_on_host(baseline: Any) -> Any:
    """The rotary table stays on the CPU, and each forward uploads what it needs (system D8)."""

    def edit(decoder: Any) -> None:
        rotary = decoder.model.model.rotary_emb
        table = rotary.inv_freq.cpu()

        def upload(module: Any, inputs: Any) -> None:
            module.inv_freq = table.to(inputs[0].device)

        rotary.register_forward_pre_hook(upload)

    return _loaded(baseline, edit)


@mutant
def missing_kernel_on_host(baseline: Any) -> Any:
    """An operation without a kernel on the device is caught and computed on the host, as PYTORCH_ENABLE_MPS_FALLBACK
    does (pytorch/pytorch#77764)."""

    def spread(out: Tensor) -> Tensor:
        flat = out.detach().float().flatten()
        try:
            torch.histogram(flat, 8)
        except NotImplementedError:
            torch.histogram(flat.cpu(), 8)
            return out
        raise NotRun(f"device {out.device} has a kernel for torch.histogram, so nothing falls back")

    return _hooked(baseline, spread)


@mutant
def promoted_on_host(baseline: Any) -> Any:
    """A NumPy float64 scale widens one layer's output on the host, and the result is cast back on the device
    (Synthetic: NumPy in a forward pass)."""

    def scaled(out: Tensor) -> Tensor:
        wide = out.detach().cpu().double().numpy() * 1.0
        return torch.from_numpy(wide).to(out.device, out.dtype)

    return _hooked(baseline, scaled)


@mutant
def waits_in_each_layer(baseline: Any) -> Any:
    """Each layer asks whether its output is finite, so the host waits for the device (Synthetic: a check left on)."""

    def edit(decoder: Any) -> None:
        for layer in decoder.model.model.layers:
            layer.mlp.register_forward_hook(_checked)

    return _loaded(baseline, edit)


@mutant
def gradient_norms_one_by_one(baseline: Any) -> Any:
    """The norm of each gradient is read with `.item()`, one wait per tensor (Synthetic: a clip written as a loop)."""

    def edit(decoder: Any) -> None:
        whole = decoder.loss_and_grads

        def loss_and_grads(tokens: Tensor, targets: Tensor) -> Any:
            loss, grads = whole(tokens, targets)
            for gradient in grads.values():
                gradient.norm().item()
            return loss, grads

        decoder.loss_and_grads = loss_and_grads

    return _loaded(baseline, edit)


def _checked(module: Any, inputs: Any, out: Tensor) -> Tensor:
    return out if bool(out.isfinite().all()) else out.nan_to_num()


def _hooked(baseline: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The baseline whose first layer's MLP output passes through `change`."""

    def edit(decoder: Any) -> None:
        decoder.model.model.layers[0].mlp.register_forward_hook(lambda module, inputs, out: change(out))

    return _loaded(baseline, edit)


def _loaded(baseline: Any, edit: Edit) -> Any:
    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        decoder = baseline.load(config, weights, dtype=dtype, device=device)
        edit(decoder)
        return decoder

    return replace(baseline, load=load)
