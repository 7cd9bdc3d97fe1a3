"""Decoders that are right on the CPU and wrong on the device: the second model loaded is the device's."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from harness.falsifiers.model.mutants.decoder import LINEARS
from harness.mutant import Inapplicable, mutant, replace

Weights = dict[str, Tensor]
Config = dict[str, Any]
TF32_LOST_BITS = 13
"""float32 keeps 23 bits of mantissa, TF32 ten."""


@mutant
def bias_dropped_on_upload(baseline: Any) -> Any:
    """The device's block has no bias fields; the CPU path is right (system D3; A1: sbryngelson/ANEForge#253)."""

    def edit(config: Config, weights: Weights) -> tuple[Config, Weights]:
        names = tuple(f"{name}.bias" for name in LINEARS)
        return config, {n: torch.zeros_like(w) if n.endswith(names) else w for n, w in weights.items()}

    return _on_device(baseline, edit)


@mutant
def eps_of_the_kernel(baseline: Any) -> Any:
    """The device's RMSNorm is built with eps 1e-5, the CPU reads 1e-6 from the config (system D2)."""
    return _on_device(baseline, lambda config, weights: ({**config, "rms_norm_eps": 1e-5}, weights))


@mutant
def tf32_on_device(baseline: Any) -> Any:
    """The device's products read ten bits of mantissa: TF32, here by its effect on the weights (system D8)."""

    def edit(config: Config, weights: Weights) -> tuple[Config, Weights]:
        if any(tensor.dtype != torch.float32 for tensor in weights.values()):
            raise Inapplicable("TF32 exists for float32 only")
        return config, {name: _ten_bits(tensor) for name, tensor in weights.items()}

    return _on_device(baseline, edit)


@mutant
def one_layer_stale(baseline: Any) -> Any:
    """One tensor of the device's copy was never uploaded and holds what the memory held (system D4; R8)."""

    def edit(config: Config, weights: Weights) -> tuple[Config, Weights]:
        name = "model.layers.1.mlp.down_proj.weight"
        return config, {**weights, name: weights[name].flip(0)}

    return _on_device(baseline, edit)


@mutant
def last_position_only(baseline: Any) -> Any:
    """The device's last position is wrong and no other (a tail block; pytorch/pytorch#159247)."""

    def load(config: Config, weights: Weights, *, dtype: str, device: str) -> Any:
        model = baseline.load(config, weights, dtype=dtype, device=device)
        if not second():
            return model
        return SimpleNamespace(logits=lambda tokens: _tail_wrong(model.logits(tokens)))

    second = _every_second()
    return replace(baseline, load=load)


def _on_device(baseline: Any, edit: Callable[[Config, Weights], tuple[Config, Weights]]) -> Any:
    """The baseline whose second load sees edited copies: a CPU run asks for the CPU twice, so names do not tell."""
    second = _every_second()

    def load(config: Config, weights: Weights, *, dtype: str, device: str) -> Any:
        wanted = edit(dict(config), dict(weights)) if second() else (config, weights)
        return baseline.load(*wanted, dtype=dtype, device=device)

    return replace(baseline, load=load)


def _every_second() -> Callable[[], bool]:
    calls = 0

    def second() -> bool:
        nonlocal calls
        calls += 1
        return calls % 2 == 0

    return second


def _tail_wrong(logits: Tensor) -> Tensor:
    out = logits.clone()
    out[:, -1] = out[:, -1].flip(-1)
    return out


def _ten_bits(tensor: Tensor) -> Tensor:
    """Round to ten stored bits of mantissa, half up: add half a step to the bits, then clear the rest."""
    bits = tensor.contiguous().view(torch.int32) + (1 << (TF32_LOST_BITS - 1))
    return (bits >> TF32_LOST_BITS << TF32_LOST_BITS).view(torch.float32)
