"""transformers' gated-delta-net layer of Qwen3.5, with PEFT's adapters and torch.autograd's gradients."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model

from harness.falsifiers.baselines.transformers.hybrid import modeling, text_config

ARRAYS = "torch"
Adapters = Mapping[str, tuple[torch.Tensor, torch.Tensor, float]]
Tensors = Mapping[str, torch.Tensor]


def gated_delta_net(
    x: torch.Tensor,
    weights: Tensors,
    config: Mapping[str, Any],
    *,
    state: torch.Tensor | None = None,
    conv_state: torch.Tensor | None = None,
    lora: Adapters | None = None,
    real: torch.Tensor | None = None,
    dtype: str,
    device: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(out, state, conv_state). Shapes: x (B, T, H), state (B, Hv, Dk, Dv), conv_state (B, channels, taps - 1)."""
    with torch.no_grad():
        return _forward(_layer(weights, config, lora, dtype), x, state, conv_state, real)


def gated_delta_net_grads(
    x: torch.Tensor,
    weights: Tensors,
    config: Mapping[str, Any],
    dout: torch.Tensor,
    *,
    state: torch.Tensor | None = None,
    conv_state: torch.Tensor | None = None,
    lora: Adapters | None = None,
    dtype: str,
    device: str,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """(dx, {name: gradient}) of sum(out * dout), every weight and adapter matrix by name, by torch.autograd."""
    layer = load_gated_delta_net(config, weights, dtype=dtype, device=device)
    _, saved = layer.forward(x, state=state, conv_state=conv_state, lora=lora)
    return layer.backward(dout, saved)


def load_gated_delta_net(
    config: Mapping[str, Any], weights: Tensors, *, dtype: str, device: str
) -> TransformersGatedDeltaNet:
    """A layer with `forward` and `backward`."""
    return TransformersGatedDeltaNet(config, weights, dtype)


class TransformersGatedDeltaNet:
    """A layer with `forward` and `backward`; each forward builds a new layer and passes it on with its graph."""

    def __init__(self, config: Mapping[str, Any], weights: Tensors, dtype: str) -> None:
        self.given = (weights, config)
        self.dtype = dtype

    def forward(
        self,
        x: torch.Tensor,
        state: torch.Tensor | None = None,
        conv_state: torch.Tensor | None = None,
        lora: Adapters | None = None,
        saved: Any = None,
    ) -> tuple[torch.Tensor, Any]:
        """(out, the object that `backward` takes); ignores `saved` of an earlier call."""
        layer = _layer(*self.given, lora, self.dtype)
        x = x.detach().clone().requires_grad_()
        out, _, _ = _forward(layer, x, state, conv_state, None)
        return out.detach(), SimpleNamespace(x=x, layer=layer, out=out)

    def backward(self, dout: torch.Tensor, saved: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(dx, {name: gradient})."""
        parameters = dict(saved.layer.named_parameters())
        wanted = [saved.x, *parameters.values()]
        dx, *grads = torch.autograd.grad(saved.out, wanted, dout, retain_graph=True)
        return dx, {_plain(name): grad for name, grad in zip(parameters, grads, strict=True)}


def _layer(weights: Tensors, config: Mapping[str, Any], lora: Adapters | None, dtype: str) -> Any:
    layer = modeling(dtype).Qwen3_5GatedDeltaNet(
        text_config({**config, "layer_types": ["linear_attention"], "num_hidden_layers": 1}), 0
    )
    layer.to(getattr(torch, dtype))
    layer.load_state_dict(dict(weights), strict=True)
    layer.to(next(iter(weights.values())).device)
    return _adapted(layer, lora) if lora else layer


def _adapted(layer: Any, lora: Adapters) -> Any:
    """Wrap the projections in PEFT's own linear layers; each may have its own rank."""
    config = LoraConfig(
        r=1,
        target_modules=list(lora),
        rank_pattern={name: A.shape[0] for name, (A, _, _) in lora.items()},
        init_lora_weights=False,
    )
    inject_adapter_in_model(config, layer)
    for name, (A, B, scale) in lora.items():
        module = getattr(layer, name)
        module.lora_A["default"].weight.data = A.clone()
        module.lora_B["default"].weight.data = B.clone()
        module.scaling["default"] = scale
    for parameter in layer.parameters():
        parameter.requires_grad_(True)
    return layer


def _forward(layer: Any, x: torch.Tensor, state: Any, conv_state: Any, real: Any) -> tuple[torch.Tensor, ...]:
    cache = _Cache(state, conv_state, x, layer)
    mask = None if real is None else real.to(x.dtype)
    out = layer(x, cache_params=cache, attention_mask=mask)
    return out, cache.state.to(x.dtype), cache.conv_state


class _Cache(SimpleNamespace):
    """The cache methods that transformers' layer calls, for one layer."""

    def __init__(self, state: Any, conv_state: Any, x: torch.Tensor, layer: Any) -> None:
        channels, taps = layer.conv1d.weight.shape[0], layer.conv_kernel_size
        empty = torch.zeros(x.shape[0], channels, taps - 1, dtype=x.dtype, device=x.device)
        super().__init__()
        self.state: Any = state
        self.conv_state: Any = empty if conv_state is None else conv_state

    def get_conv_state(self, layer: int, state_idx: int = 0) -> Any:
        return self.conv_state if self.state is not None else None

    def get_recurrent_state(self, layer: int, state_idx: int = 0) -> Any:
        return self.state

    def is_recording_past(self, layer: int) -> bool:
        return True

    def update_conv_state(self, mixed: torch.Tensor, layer: int, conv_kernel_size: int) -> torch.Tensor:
        whole = torch.cat([self.conv_state, mixed], dim=-1)
        self.conv_state = whole[..., whole.shape[-1] - conv_kernel_size + 1 :]
        return whole

    def update_recurrent_state(self, state: torch.Tensor, layer: int) -> None:
        self.state = state


def _plain(name: str) -> str:
    return name.replace(".base_layer", "").replace(".default", "")
