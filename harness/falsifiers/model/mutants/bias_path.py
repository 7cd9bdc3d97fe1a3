"""Known-wrong bias paths: biases lost on the way to the device or never added, and a plain path that changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from harness.mutant import mutant, replace

Weights = dict[str, torch.Tensor]
QKV = ("q_proj", "k_proj", "v_proj")


@mutant
def optional_tensors_dropped(baseline: Any) -> Any:
    """The upload copies only the tensors every architecture has: 72 biases are lost (A1: sbryngelson/ANEForge#253)."""
    return _without(baseline, lambda name: name.endswith(tuple(f"{n}.bias" for n in QKV)))


@mutant
def q_bias_skipped(baseline: Any) -> Any:
    """One of three: the query bias (system D3)."""
    return _without(baseline, lambda name: name.endswith("q_proj.bias"))


@mutant
def k_bias_skipped(baseline: Any) -> Any:
    """One of three: the key bias, the faintest (system D3)."""
    return _without(baseline, lambda name: name.endswith("k_proj.bias"))


@mutant
def v_bias_skipped(baseline: Any) -> Any:
    """One of three: the value bias (system D3)."""
    return _without(baseline, lambda name: name.endswith("v_proj.bias"))


@mutant
def last_layer_bias_skipped(baseline: Any) -> Any:
    """Only the last layer's key bias is lost, as by a loop that ends one early (system D3)."""

    def last(name: str, weights: Weights) -> bool:
        return name == max(n for n in weights if n.endswith("k_proj.bias"))

    def load(config: dict[str, Any], weights: Weights, *, dtype: str, device: str) -> Any:
        wrong = {n: torch.zeros_like(w) if last(n, weights) else w for n, w in weights.items()}
        return baseline.load(config, wrong, dtype=dtype, device=device)

    return replace(baseline, load=load)


@mutant
def bias_stored_but_unused(baseline: Any) -> Any:
    """The block has the fields and the upload fills them, its forward multiplies only (the story of system D)."""

    def forward(linear: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x, linear.weight)

    return _projecting(baseline, forward)


@mutant
def v_takes_k_bias(baseline: Any) -> Any:
    """A copied line: the value projection gets the key's bias, which has its shape (system D3)."""

    def load(config: dict[str, Any], weights: Weights, *, dtype: str, device: str) -> Any:
        wrong = {n: weights[n.replace("v_proj.bias", "k_proj.bias")] for n in weights}
        return baseline.load(config, wrong, dtype=dtype, device=device)

    return replace(baseline, load=load)


@mutant
def bias_path_in_other_order(baseline: Any) -> Any:
    """With biases another kernel runs, which sums in two halves: right, but no longer the same bytes (system D3)."""

    def forward(linear: Any, x: torch.Tensor) -> torch.Tensor:
        half = x.shape[-1] // 2
        low = torch.nn.functional.linear(x[..., :half], linear.weight[:, :half], linear.bias)
        return low + torch.nn.functional.linear(x[..., half:], linear.weight[:, half:])

    return _projecting(baseline, forward)


@mutant
def bias_path_in_lower_precision(baseline: Any) -> Any:
    """Adding the bias rounds the projection to fewer bits first (system D3)."""

    def forward(linear: Any, x: torch.Tensor) -> torch.Tensor:
        narrow = torch.float16 if x.dtype != torch.bfloat16 else torch.float8_e4m3fn
        return torch.nn.functional.linear(x, linear.weight).to(narrow).to(x.dtype) + linear.bias

    return _projecting(baseline, forward)


def _without(baseline: Any, lost: Callable[[str], bool]) -> Any:
    """The baseline whose `load` never sees these tensors' values."""

    def load(config: dict[str, Any], weights: Weights, *, dtype: str, device: str) -> Any:
        kept = {name: torch.zeros_like(w) if lost(name) else w for name, w in weights.items()}
        return baseline.load(config, kept, dtype=dtype, device=device)

    return replace(baseline, load=load)


def _projecting(baseline: Any, forward: Callable[[Any, torch.Tensor], torch.Tensor]) -> Any:
    """The baseline whose q, k and v projections with a bias compute by `forward`."""

    def load(config: dict[str, Any], weights: Weights, *, dtype: str, device: str) -> Any:
        decoder = baseline.load(config, weights, dtype=dtype, device=device)
        for layer in decoder.model.model.layers:
            for linear in (getattr(layer.self_attn, name) for name in QKV):
                if linear.bias is not None:
                    linear.forward = lambda x, linear=linear: forward(linear, x)
        return decoder

    return replace(baseline, load=load)
