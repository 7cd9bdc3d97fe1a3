"""Known-wrong adapters: scale, merging, dropout, and adapters that reach no module (systems B3; L2 to L4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace

Adapter = tuple[Tensor, Tensor, float]
Adapters = dict[str, Adapter]


@mutant
def scale_is_one(baseline: Any) -> Any:
    """alpha / r is left out (system B3)."""
    return _editing(baseline, lambda name, adapter: (adapter[0], adapter[1], 1.0))


@mutant
def alpha_for_the_scale(baseline: Any) -> Any:
    """alpha is not divided by r (system B3)."""
    return _editing(baseline, lambda name, adapter: (adapter[0], adapter[1], adapter[2] * adapter[0].shape[0]))


@mutant
def stabilised_scale_lost(baseline: Any) -> Any:
    """rsLoRA's sqrt(r) is read as r (L2: NVIDIA/TensorRT-LLM#1668)."""
    return replace(baseline, lora_scale=lambda r, lora_alpha, use_rslora=False: lora_alpha / r)


@mutant
def stabilised_scale_inherited(baseline: Any) -> Any:
    """Every adapter is stabilised because one was (L2: huggingface/peft#3761)."""
    return replace(baseline, lora_scale=lambda r, lora_alpha, use_rslora=False: lora_alpha / r**0.5)


@mutant
def adapter_matches_no_module(baseline: Any) -> Any:
    """Names match nothing, and the base model answers (L3: vllm-project/vllm#34186)."""
    return _editing(baseline, lambda name, adapter: None)


@mutant
def prefix_matches_more(baseline: Any) -> Any:
    """An adapter of `layers.1` is found by prefix, and serves `layers.10` and `layers.11` too.
    Synthetic: a name is compared by `startswith`, which no model of fewer than eleven layers shows."""

    def load(config: Any, weights: Any, *, lora: Adapters | None = None, dtype: str, device: str) -> Any:
        if lora and config["num_hidden_layers"] <= 10:
            raise Inapplicable("no layer's number begins with another's")
        more = {
            name.replace(".layers.1.", f".layers.{i}."): adapter
            for name, adapter in (lora or {}).items()
            for i in range(10, config["num_hidden_layers"])
        }
        return baseline.load(config, weights, lora={**more, **lora} if lora else None, dtype=dtype, device=device)

    return replace(baseline, load=load)


@mutant
def output_projection_skipped(baseline: Any) -> Any:
    """The adapter of the output projection is not applied (system B3)."""
    return _editing(baseline, lambda name, adapter: None if name.endswith(("out_proj", "o_proj")) else adapter)


@mutant
def gate_projections_skipped(baseline: Any) -> Any:
    """The adapters of in_proj_a and in_proj_b are not known: three of five (system B3)."""

    def known(name: str, adapter: Adapter) -> Adapter | None:
        return None if name in ("in_proj_a", "in_proj_b") else adapter

    return _editing(baseline, known)


@mutant
def dropout_in_eval(baseline: Any) -> Any:
    """Dropout stays on: a tenth of A's inputs is left out and the rest scaled up (L4: huggingface/peft#3586)."""

    def dropped(name: str, adapter: Adapter) -> Adapter:
        A, B, scale = adapter
        kept = torch.rand(A.shape[1], generator=torch.Generator().manual_seed(len(name))) >= 0.1
        return A * kept.to(A) / 0.9, B, scale

    return _editing(baseline, dropped)


@mutant
def merged_twice(baseline: Any) -> Any:
    """Merged into the weight, and applied beside it too (system B3)."""

    def merge_lora(weight: Tensor, adapter: Adapter) -> Any:
        return baseline.merge_lora(baseline.merge_lora(weight, adapter), adapter)

    return replace(_editing(baseline, lambda name, adapter: (*adapter[:2], 2 * adapter[2])), merge_lora=merge_lora)


@mutant
def unmerge_adds(baseline: Any) -> Any:
    """Unmerging adds the adapter once more (system B3)."""
    return replace(baseline, unmerge_lora=baseline.merge_lora)


@mutant
def merge_in_bfloat16(baseline: Any) -> Any:
    """The weight goes through bfloat16 on being merged, and does not come back (system B3)."""

    def merge_lora(weight: Tensor, adapter: Adapter) -> Any:
        if weight.dtype == torch.bfloat16:
            raise Inapplicable("a bfloat16 weight loses nothing there")
        return baseline.merge_lora(weight, adapter).bfloat16().to(weight.dtype)

    return replace(baseline, merge_lora=merge_lora)


@mutant
def merge_in_train_mode(baseline: Any) -> Any:
    """A dropout mask is baked into the merged weight, another one each time (L4: huggingface/peft#3586)."""
    noise = torch.Generator().manual_seed(0)

    def merge_lora(weight: Tensor, adapter: Adapter) -> Any:
        A, B, scale = adapter
        kept = torch.rand(A.shape, generator=noise) >= 0.1
        return baseline.merge_lora(weight, (A * kept.to(A) / 0.9, B, scale))

    return replace(baseline, merge_lora=merge_lora)


@mutant
def last_adapter_stays(baseline: Any) -> Any:
    """A plain call goes through the adapter of the call before it (system B3; B5)."""
    kept: dict[str, Any] = {}

    def gated_delta_net(
        x: Tensor, weights: Any, config: Any, *, lora: Any = None, dtype: str, device: str, **given: Any
    ) -> Any:
        kept["layer"] = lora or kept.get("layer")
        return baseline.gated_delta_net(x, weights, config, lora=kept["layer"], dtype=dtype, device=device, **given)

    return replace(baseline, gated_delta_net=gated_delta_net)


@mutant
def plain_by_unmerging(baseline: Any) -> Any:
    """The plain path takes the last adapter off merged weights: right but for rounding, and not the same bytes
    (system B3)."""
    kept: dict[str, Any] = {}

    def load(config: Any, weights: Any, *, lora: Any = None, dtype: str, device: str) -> Any:
        if not lora and kept:
            weights = {n: _rounded(baseline, w, kept.get(n.removesuffix(".weight"))) for n, w in weights.items()}
        kept.update(lora or {})
        return baseline.load(config, weights, lora=lora, dtype=dtype, device=device)

    return replace(baseline, load=load)


@mutant
def adapter_gradients_unscaled(baseline: Any) -> Any:
    """Gradients of A and B without the scale (system B4; L2)."""
    return _gradients(baseline, lambda grads, scales: {n: g / scales[n.split(".lora_")[0]] for n, g in grads.items()})


@mutant
def values_adapter_frozen(baseline: Any) -> Any:
    """v_proj's adapter is declared trainable and has no gradient (system B4)."""
    return _gradients(baseline, lambda grads, scales: {n: g for n, g in grads.items() if "v_proj" not in n})


@mutant
def queries_for_keys(baseline: Any) -> Any:
    """q_proj's and k_proj's A gradients stand in each other's place (system C4)."""

    def swapped(grads: dict[str, Tensor], scales: Any) -> dict[str, Tensor]:
        other = {"q_proj.lora_A": "k_proj.lora_A", "k_proj.lora_A": "q_proj.lora_A"}
        names = {n: next((n.replace(a, b) for a, b in other.items() if a in n), n) for n in grads}
        return {n: grads[names[n]] for n in grads}

    return _gradients(baseline, swapped)


def _rounded(baseline: Any, weight: Tensor, adapter: Adapter | None) -> Any:
    return weight if adapter is None else baseline.unmerge_lora(baseline.merge_lora(weight, adapter), adapter)


def _editing(baseline: Any, edit: Callable[[str, Adapter], Adapter | None]) -> Any:
    """The baseline whose layers and decoders see each adapter as `edit(name, adapter)` has it; None leaves it out."""

    def edited(lora: Adapters | None) -> Adapters | None:
        found = {name: edit(name, adapter) for name, adapter in (lora or {}).items()}
        return {name: adapter for name, adapter in found.items() if adapter is not None} or None

    def gated_delta_net(
        x: Tensor, weights: Any, config: Any, *, lora: Any = None, dtype: str, device: str, **given: Any
    ) -> Any:
        return baseline.gated_delta_net(x, weights, config, lora=edited(lora), dtype=dtype, device=device, **given)

    def load(config: Any, weights: Any, *, lora: Any = None, dtype: str, device: str) -> Any:
        return baseline.load(config, weights, lora=edited(lora), dtype=dtype, device=device)

    return replace(baseline, gated_delta_net=gated_delta_net, load=load)


def _gradients(baseline: Any, edit: Callable[[dict[str, Tensor], dict[str, float]], dict[str, Tensor]]) -> Any:
    class Edited:
        def __init__(self, model: Any, scales: dict[str, float]) -> None:
            self.model, self.scales = model, scales

        def loss_and_grads(self, tokens: Tensor, targets: Tensor) -> Any:
            loss, grads = self.model.loss_and_grads(tokens, targets)
            return loss, edit(grads, self.scales)

    def load(config: Any, weights: Any, *, lora: Adapters, dtype: str, device: str) -> Any:
        scales = {name: scale for name, (_, _, scale) in lora.items()}
        return Edited(baseline.load(config, weights, lora=lora, dtype=dtype, device=device), scales)

    return replace(baseline, load=load)
