"""PEFT's adapters: in transformers' decoders, merged into weights, and in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear as LoraLinear
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM

from harness.falsifiers.baselines.transformers import decoder as transformers_decoder
from harness.falsifiers.baselines.transformers.decoder import ARRAYS, Decoder
from harness.falsifiers.baselines.transformers.gdn import gated_delta_net

__all__ = [
    "ARRAYS",
    "gated_delta_net",
    "load",
    "load_adapter",
    "lora_scale",
    "merge_lora",
    "save_adapter",
    "unmerge_lora",
]

Adapters = Mapping[str, tuple[torch.Tensor, torch.Tensor, float]]
PREFIX = "base_model.model."


def load(
    config: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    *,
    lora: Adapters | None = None,
    dtype: str,
    device: str,
) -> Decoder:
    """transformers' decoder; PEFT's layers wrap the layers that have an adapter."""
    decoder = transformers_decoder.load(config, weights, dtype=dtype, device=device)
    return AdaptedDecoder(decoder.model, lora) if lora else decoder


class AdaptedDecoder(Decoder):
    """A decoder with adapters: `logits`, and `loss_and_grads` of the adapters by torch.autograd."""

    def __init__(self, model: Any, lora: Adapters) -> None:
        ranks = {name: A.shape[0] for name, (A, _, _) in lora.items()}
        config = LoraConfig(r=1, target_modules=list(lora), rank_pattern=ranks, init_lora_weights=False)
        wrapped = get_peft_model(model, config, autocast_adapter_dtype=False)
        super().__init__(wrapped.get_base_model())
        self.names = list(lora)
        for name, (A, B, scale) in lora.items():
            layer = self.model.get_submodule(name)
            layer.lora_A["default"].weight.data, layer.lora_B["default"].weight.data = A.clone(), B.clone()
            layer.scaling["default"] = scale

    def loss_and_grads(self, tokens: torch.Tensor, targets: torch.Tensor) -> tuple[float, dict[str, torch.Tensor]]:
        """Mean cross-entropy and its gradients by `<layer>.lora_A.weight` and `<layer>.lora_B.weight`."""
        layers = {name: self.model.get_submodule(name) for name in self.names}
        found = {
            f"{name}.lora_{part}.weight": getattr(layer, f"lora_{part}")["default"].weight
            for name, layer in layers.items()
            for part in "AB"
        }
        with torch.enable_grad():
            logits = self.model(input_ids=tokens, use_cache=False).logits
            wide = logits if logits.dtype == torch.float64 else logits.float()
            loss = cross_entropy(wide.flatten(0, 1), targets.flatten())
            grads = torch.autograd.grad(loss, list(found.values()))
        return float(loss.detach()), dict(zip(found, grads, strict=True))


def lora_scale(r: int, lora_alpha: float, use_rslora: bool = False) -> float:
    """The scale that PEFT computes for a layer of this rank."""
    layer = _linear(torch.zeros(1, 1), torch.zeros(r, 1), torch.zeros(1, r), r, lora_alpha, use_rslora)
    return float(layer.scaling["default"])


def merge_lora(weight: torch.Tensor, adapter: tuple[torch.Tensor, torch.Tensor, float]) -> torch.Tensor:
    """The weight after PEFT's merge."""
    layer = _adapted(weight, adapter)
    layer.merge()
    return layer.base_layer.weight.data


def unmerge_lora(weight: torch.Tensor, adapter: tuple[torch.Tensor, torch.Tensor, float]) -> torch.Tensor:
    """A merged weight after PEFT's unmerge."""
    layer = _adapted(weight, adapter)
    layer.merged_adapters.append("default")
    layer.unmerge()
    return layer.base_layer.weight.data


def save_adapter(
    folder: str,
    config: Mapping[str, Any],
    lora: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
    *,
    r: int,
    lora_alpha: float,
    use_rslora: bool,
) -> None:
    """Write a model's adapters with PEFT's own save_pretrained. Units: lora maps a layer's full name to (A, B)."""
    bare = _bare(config)
    short = {name.rsplit(".", 1)[-1] for name in lora}
    every = {name for name, _ in bare.named_modules() if name.rsplit(".", 1)[-1] in short}
    targets = sorted(short if every == set(lora) else lora)
    adapter = LoraConfig(
        r=r, lora_alpha=lora_alpha, use_rslora=use_rslora, target_modules=targets, init_lora_weights=False
    )
    model = get_peft_model(bare, adapter, autocast_adapter_dtype=False)
    for name, (A, B) in lora.items():
        layer = model.get_base_model().get_submodule(name)
        layer.lora_A["default"].weight.data, layer.lora_B["default"].weight.data = A.clone(), B.clone()
    model.save_pretrained(folder)


def load_adapter(folder: str, config: Mapping[str, Any]) -> dict[str, tuple[torch.Tensor, torch.Tensor, float]]:
    """Load an adapter folder with PEFT: {layer's full name: (A, B, scale)}.

    Raises: as PEFT; and ValueError naming tensors that PEFT ignored or initialised, of which it only warns.
    """
    from peft import PeftModel
    from safetensors.torch import load_file

    model = PeftModel.from_pretrained(_bare(config), folder)
    found = {}
    for name, module in model.get_base_model().named_modules():
        if isinstance(module, LoraLinear):
            pair = (module.lora_A["default"].weight.data, module.lora_B["default"].weight.data)
            found[name] = (*pair, float(module.scaling["default"]))
    held = set(load_file(str(Path(folder) / "adapter_model.safetensors")))
    used = {f"{PREFIX}{name}.lora_{part}.weight" for name in found for part in "AB"}
    if held != used:
        raise ValueError(f"PEFT ignored {sorted(held - used)[:3]} and initialised {sorted(used - held)[:3]}")
    return found


def _bare(config: Mapping[str, Any]) -> Any:
    kind = dict(config)
    with torch.device("cpu"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**kind))


def _adapted(weight: torch.Tensor, adapter: tuple[torch.Tensor, torch.Tensor, float]) -> LoraLinear:
    A, B, scale = adapter
    layer = _linear(weight, A, B, A.shape[0], 1.0, False)
    layer.scaling["default"] = scale
    return layer


def _linear(
    weight: torch.Tensor, A: torch.Tensor, B: torch.Tensor, r: int, lora_alpha: float, use_rslora: bool
) -> LoraLinear:
    base = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    base.weight.data = weight.clone()
    config = LoraConfig(r=r, lora_alpha=lora_alpha, use_rslora=use_rslora, init_lora_weights=False)
    layer = LoraLinear(base, "default", config=config, r=r, lora_alpha=lora_alpha)
    layer.to(weight.dtype)
    layer.lora_A["default"].weight.data, layer.lora_B["default"].weight.data = A.clone(), B.clone()
    return layer.eval()
