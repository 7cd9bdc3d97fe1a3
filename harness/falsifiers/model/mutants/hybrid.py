"""Known-wrong mixed models: rotary, gates, gains, layers, (systems B1 and D5; R6, R7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace

Weights = dict[str, Tensor]


@mutant
def all_dimensions_rotated(baseline: Any) -> Any:
    """partial_rotary_factor is not read: every dimension of a head is rotated (R6: ml-explore/mlx-lm#1698)."""
    return _config(baseline, lambda rope: {**rope, "partial_rotary_factor": 1.0}, of="partial_rotary_factor")


@mutant
def exponent_by_head_dim(baseline: Any) -> Any:
    """The wavelengths' exponent is divided by the head's width where it is the rotated part's
    (R7: pie-project/pie#603)."""

    def edit(model: Any, config: dict[str, Any]) -> None:
        rope = config["rope_parameters"]
        if rope.get("partial_rotary_factor", 1.0) == 1.0:
            raise Inapplicable("the whole head is rotated: one width")
        old = model.model.rotary_emb.inv_freq
        steps = torch.arange(0, 2 * old.numel(), 2, dtype=torch.float64)
        model.model.rotary_emb.inv_freq = (rope["rope_theta"] ** (-steps / config["head_dim"])).to(old)

    return _model(baseline, edit)


@mutant
def theta_is_ten_thousand(baseline: Any) -> Any:
    """rope_theta is left at its default (system D5)."""
    return _config(baseline, lambda rope: {**rope, "rope_theta": 10000.0}, of="rope_theta")


@mutant
def attention_gate_missing(baseline: Any) -> Any:
    """The attention's output is not gated: sigmoid(0) = 1/2 everywhere, and twice the output projection (system B1)."""

    def edit(weights: Weights, config: dict[str, Any]) -> Weights:
        _gated(config)
        width = config["head_dim"]
        for name in [n for n in weights if n.endswith("self_attn.q_proj.weight")]:
            halves = weights[name].view(-1, 2, width, weights[name].shape[1]).clone()
            halves[:, 1] = 0
            weights[name] = halves.flatten(0, 2)
            out = name.replace("q_proj", "o_proj")
            weights[out] = 2 * weights[out]
        return weights

    return _weights(baseline, edit)


@mutant
def gate_behind_all_queries(baseline: Any) -> Any:
    """q_proj is cut in two halves where each head has its query and its gate side by side (system B1)."""

    def edit(weights: Weights, config: dict[str, Any]) -> Weights:
        _gated(config)
        width = config["head_dim"]
        for name in [n for n in weights if n.endswith("self_attn.q_proj.weight")]:
            queries, gates = weights[name].view(2, -1, width, weights[name].shape[1])
            weights[name] = torch.stack([queries, gates], dim=1).flatten(0, 2)
        return weights

    return _weights(baseline, edit)


@mutant
def gains_as_stored(baseline: Any) -> Any:
    """Gains are taken for w where Qwen3.5 stores w - 1 (systems D2 and E3)."""

    def edit(weights: Weights, config: dict[str, Any]) -> Weights:
        _gated(config)
        plain = ("layernorm.weight", "model.norm.weight", "q_norm.weight", "k_norm.weight")
        return {n: w - 1 if n.endswith(plain) else w for n, w in weights.items()}

    return _weights(baseline, edit)


@mutant
def delta_gains_plus_one(baseline: Any) -> Any:
    """The delta net's own gated norm gets the 1 that only the others lack (systems B1 and E3)."""

    def edit(weights: Weights, config: dict[str, Any]) -> Weights:
        _mixed(config)
        return {n: w + 1 if n.endswith("linear_attn.norm.weight") else w for n, w in weights.items()}

    return _weights(baseline, edit)


@mutant
def query_norm_missing(baseline: Any) -> Any:
    """Queries are rotated without having been normed by head (system D5)."""

    def edit(model: Any, config: dict[str, Any]) -> None:
        for layer in model.model.layers:
            if hasattr(layer, "self_attn"):
                layer.self_attn.q_norm = torch.nn.Identity()

    return _model(baseline, edit)


@mutant
def delta_layers_swapped(baseline: Any) -> Any:
    """Delta-net layers are filled in the order of their numbers as strings, or otherwise not their own (system D4)."""

    def edit(weights: Weights, config: dict[str, Any]) -> Weights:
        _mixed(config)
        delta = [i for i, kind in enumerate(config["layer_types"]) if kind == "linear_attention"]
        if len(delta) < 2:
            raise Inapplicable("one delta-net layer: nothing to swap")
        a, b = (f"model.layers.{i}.linear_attn." for i in delta[:2])
        names = {n: n.replace(a, b) if n.startswith(a) else n.replace(b, a) if n.startswith(b) else n for n in weights}
        return {n: weights[other] for n, other in names.items()}

    return _weights(baseline, edit)


@mutant
def key_heads_taken_for_all(baseline: Any) -> Any:
    """Decay gates of every value head are those of the first of its group (system B1)."""

    def edit(weights: Weights, config: dict[str, Any]) -> Weights:
        _mixed(config)
        group = config["linear_num_value_heads"] // config["linear_num_key_heads"]
        if group == 1:
            raise Inapplicable("as many value heads as key heads")
        gates = ("in_proj_a.weight", "A_log", "dt_bias")
        return {n: w[::group].repeat_interleave(group, dim=0) if n.endswith(gates) else w for n, w in weights.items()}

    return _weights(baseline, edit)


@mutant
def leftovers_ignored(baseline: Any) -> Any:
    """Tensors too many are dropped, missing ones left at their initial value, shapes cut to fit (system D4)."""

    def load(config: Any, weights: Weights, *, dtype: str, device: str) -> Any:
        try:
            return baseline.load(config, weights, dtype=dtype, device=device)
        except (RuntimeError, KeyError):
            return None

    return replace(baseline, load=load)


def _model(baseline: Any, edit: Callable[[Any, dict[str, Any]], None]) -> Any:
    def load(config: Any, weights: Weights, *, dtype: str, device: str) -> Any:
        loaded = baseline.load(config, weights, dtype=dtype, device=device)
        edit(loaded.model, config)
        return loaded

    return replace(baseline, load=load)


def _weights(baseline: Any, edit: Callable[[Weights, dict[str, Any]], Weights]) -> Any:
    def load(config: Any, weights: Weights, *, dtype: str, device: str) -> Any:
        return baseline.load(config, edit(dict(weights), config), dtype=dtype, device=device)

    return replace(baseline, load=load)


def _config(baseline: Any, edit: Callable[[dict[str, Any]], dict[str, Any]], of: str) -> Any:
    def load(config: Any, weights: Weights, *, dtype: str, device: str) -> Any:
        rope = config["rope_parameters"]
        if edit(rope) == {**rope, of: rope.get(of, 1.0)}:
            raise Inapplicable(f"{of} is that already")
        return baseline.load({**config, "rope_parameters": edit(rope)}, weights, dtype=dtype, device=device)

    return replace(baseline, load=load)


def _gated(config: dict[str, Any]) -> None:
    if config["model_type"] != "qwen3_5_text" or "full_attention" not in config["layer_types"]:
        raise Inapplicable("no gated attention in this model")


def _mixed(config: dict[str, Any]) -> None:
    if "linear_attention" not in config.get("layer_types", []):
        raise Inapplicable("no delta-net layer in this model")
