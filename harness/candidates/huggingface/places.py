"""Where the modules of a decoder show its stages: module names of transformers' families, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import nn

Side = Literal["in", "out", "routed"]


@dataclass(frozen=True)
class Place:
    """What a module gives (`out`) or reads (`in`), or a router's weights of its chosen experts (`routed`).

    Units:  columns are those of the last axis that belong to the stage: a slice, a list, or a function of the layer;
            factor names a number in the layer that multiplies what the module gives.
    """

    module: str
    side: Side = "out"
    columns: Any = None
    factor: str = ""


def _queries(layer: Any) -> list[int]:
    """Columns of the queries where each head's query stands before its gate."""
    width = _head_dim(layer)
    return [i for i in range(layer.self_attn.q_proj.out_features) if i % (2 * width) < width]


def _gates(layer: Any) -> list[int]:
    width = _head_dim(layer)
    return [i for i in range(layer.self_attn.q_proj.out_features) if i % (2 * width) >= width]


def _head_dim(layer: Any) -> int:
    return int(layer.self_attn.head_dim)


def _fused(number: int) -> Callable[[Any], slice]:
    """Columns of the queries (0), keys (1) or values (2) of one projection."""

    def columns(layer: Any) -> slice:
        queries, total = layer.self_attn.o_proj.in_features, layer.self_attn.qkv_proj.out_features
        ends = [0, queries, (queries + total) // 2, total]
        return slice(ends[number], ends[number + 1])

    return columns


def _half(module: str, number: int) -> Place:
    """The first or second half of what a projection gives."""

    def columns(layer: Any) -> slice:
        width = layer.get_submodule(module).out_features // 2
        return slice(number * width, (number + 1) * width)

    return Place(module, columns=columns)


def _attention(prefix: str = "self_attn") -> dict[str, Place]:
    return {
        **{f"{role}_proj": Place(f"{prefix}.{role}_proj") for role in "qkvo"},
        **{f"{role}_norm": Place(f"{prefix}.{role}_norm") for role in "qkv"},
        "attn": Place(f"{prefix}.o_proj", "in"),
    }


def _mlp(prefix: str, down: str = "down_proj") -> dict[str, Place]:
    return {
        **{f"{role}_proj": Place(f"{prefix}.{role}_proj") for role in ("gate", "up")},
        "mlp_act": Place(f"{prefix}.{down}", "in"),
        "down_proj": Place(f"{prefix}.{down}"),
    }


def _experts(prefix: str, router: str = "gate", experts: str = "experts", shared: str = "") -> dict[str, Place]:
    return {
        "router": Place(f"{prefix}.{router}"),
        "router_weights": Place(f"{prefix}.{router}", "routed"),
        "experts": Place(f"{prefix}.{experts}"),
        **({"shared_expert": Place(shared)} if shared else {}),
    }


def _norms(**stages: str) -> dict[str, Place]:
    """Norms by stage, and the residual stream before the feed-forward and behind it."""
    found = {stage: Place(module) for stage, module in stages.items()}
    before = found["post_norm"] if "post_norm" in found else Place("mlp")
    return {**found, "attn_residual": Place(before.module, "in"), "mlp_residual": Place("")}


_MIDDLE = "post_attention_layernorm"
_GEMMA = _norms(
    input_norm="input_layernorm",
    mixer_norm=_MIDDLE,
    post_norm="pre_feedforward_layernorm",
    feed_norm="post_feedforward_layernorm",
)
_GLM = _norms(
    input_norm="input_layernorm",
    mixer_norm="post_self_attn_layernorm",
    post_norm=_MIDDLE,
    feed_norm="post_mlp_layernorm",
)
_LATENT = _attention() | {
    "q_proj": Place("self_attn.q_b_proj"),
    "q_down": Place("self_attn.q_a_proj"),
    "q_down_norm": Place("self_attn.q_a_layernorm"),
    "kv_down": Place("self_attn.kv_a_proj_with_mqa"),
    "kv_norm": Place("self_attn.kv_a_layernorm"),
    "kv_up": Place("self_attn.kv_b_proj"),
}
_SCALED = {k: v for k, v in _GEMMA.items() if k != "mlp_residual"} | {"scaled": Place("")}
_NEMOTRON = _experts("mixer", experts="fc2_latent_proj", shared="mixer.shared_experts")
Layout = tuple[str, Mapping[str, Place]]
NORMS: tuple[Layout, ...] = (
    ("layer_scalar", _SCALED),
    ("post_self_attn_layernorm", _GLM),
    ("pre_feedforward_layernorm", _GEMMA),
    ("post_feedforward_layernorm", _norms(mixer_norm=_MIDDLE, feed_norm="post_feedforward_layernorm")),
    ("pre_ff_layernorm", _norms(input_norm="input_layernorm", post_norm="pre_ff_layernorm")),
    (_MIDDLE, _norms(input_norm="input_layernorm", post_norm=_MIDDLE)),
    ("mixer.up_proj", {"post_norm": Place("norm"), "mlp_residual": Place("")}),
    ("mixer.experts", {"post_norm": Place("norm"), "mlp_residual": Place("")}),
    ("mixer", {"input_norm": Place("norm"), "attn_residual": Place("")}),
)
ATTENTIONS: tuple[Layout, ...] = (
    ("self_attn.q_b_proj", _LATENT),
    ("self_attn.kv_b_proj", _LATENT | {"q_proj": Place("self_attn.q_proj")}),
    (
        "self_attn.qkv_proj",
        _attention() | {f"{r}_proj": Place("self_attn.qkv_proj", columns=_fused(i)) for i, r in enumerate("qkv")},
    ),
    (
        "self_attn.key_multiplier",
        _attention() | {"k_proj": Place("self_attn.k_proj", factor="self_attn.key_multiplier")},
    ),
    ("self_attn.q_proj", _attention()),
    ("mixer.q_proj", _attention("mixer")),
)
GATED = {stage: place for stage, place in _attention().items() if stage != "attn"} | {
    "q_proj": Place("self_attn.q_proj", columns=_queries),
    "gate": Place("self_attn.q_proj", columns=_gates),
    "attn_gated": Place("self_attn.o_proj", "in"),
}
"""Attention whose query projection also gives a gate of its output."""
RECURRENT: tuple[Layout, ...] = (
    ("linear_attn", {"delta_net": Place("linear_attn")}),
    ("mamba", {"mamba": Place("mamba")}),
    ("mixer.in_proj", {"mamba": Place("mixer")}),
)
FEEDS: tuple[Layout, ...] = (
    ("block_sparse_moe", _experts("block_sparse_moe", "router", shared="shared_mlp")),
    ("mlp.shared_expert_gate", _experts("mlp")),
    ("mlp.router", _experts("mlp", "router")),
    ("mlp.experts", _experts("mlp", shared="mlp.shared_experts")),
    ("mixer.fc1_latent_proj.weight", _NEMOTRON | {"latent_in": Place("mixer.fc1_latent_proj")}),
    ("mixer.experts", _NEMOTRON),
    ("mixer.up_proj", _mlp("mixer")),
    (
        "shared_mlp",
        {
            "gate_proj": _half("shared_mlp.input_linear", 0),
            "up_proj": _half("shared_mlp.input_linear", 1),
            "mlp_act": Place("shared_mlp.output_linear", "in"),
            "down_proj": Place("shared_mlp.output_linear"),
        },
    ),
    (
        "feed_forward.gate_multiplier",
        _mlp("feed_forward")
        | {"gate_proj": Place("feed_forward.gate_proj", factor="feed_forward.gate_multiplier")}
        | {"down_proj": Place("feed_forward")},
    ),
    (
        "mlp.gate_up_proj",
        _mlp("mlp") | {"gate_proj": _half("mlp.gate_up_proj", 0), "up_proj": _half("mlp.gate_up_proj", 1)},
    ),
    ("mlp.c_fc", _mlp("mlp", "c_proj") | {"up_proj": Place("mlp.c_fc")}),
    ("mlp.down_proj", _mlp("mlp")),
)
"""The first module or number that a layer has -> where its stages are; a stage whose module it lacks is left out."""
FINAL = ("norm", "norm_f", "final_layernorm")


def shown(model: nn.Module) -> dict[str, Place]:
    """Every stage that the model's modules show, with the module's whole name; empty for unknown names."""
    name, layers = _layers(model)
    if not any(map(of_layer, layers)):
        return {}
    found = {"embed": Place(f"{name}.0", "in")}
    for i, layer in enumerate(layers):
        for stage, place in of_layer(layer).items():
            found[f"layers.{i}.{stage}"] = _placed(place, f"{name}.{i}")
    outer = name.rpartition(".")[0]
    ends = [f"{outer}.{end}".lstrip(".") for end in FINAL]
    final = next((Place(end) for end in ends if has(model, end)), None)
    return {**found, "final_norm": final} if final else found


def of_layer(layer: nn.Module) -> dict[str, Place]:
    """The stages of one layer, with names inside of it."""
    attention = GATED if _is_gated(layer) else _first(ATTENTIONS, layer)
    found = {**_first(NORMS, layer), **attention, **_first(RECURRENT, layer), **_first(FEEDS, layer)}
    held = {stage: _cut(place, layer) for stage, place in found.items() if not place.module or has(layer, place.module)}
    return {stage: place for stage, place in held.items() if place is not None}


def _cut(place: Place, layer: nn.Module) -> Place | None:
    """The place with its columns; None if the layer lacks what tells them."""
    if not callable(place.columns):
        return place
    try:
        return replace(place, columns=place.columns(layer))
    except AttributeError:
        return None


def has(module: Any, name: str) -> bool:
    """Whether a dotted name leads to something that is not None."""
    for part in name.split("."):
        module = getattr(module, part, None)
    return module is not None


def _first(layouts: tuple[Layout, ...], layer: nn.Module) -> Mapping[str, Place]:
    return next((stages for name, stages in layouts if has(layer, name)), {})


def _is_gated(layer: Any) -> bool:
    if not (has(layer, "self_attn.q_proj.out_features") and has(layer, "self_attn.o_proj.in_features")):
        return False
    return bool(layer.self_attn.q_proj.out_features == 2 * layer.self_attn.o_proj.in_features)


def _layers(model: nn.Module) -> tuple[str, list[nn.Module]]:
    """The list of modules in which most stages are found, and its name."""
    lists = [(name, list(module)) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=lambda each: sum(len(of_layer(layer)) for layer in each[1]), default=("", []))


def _placed(place: Place, prefix: str) -> Place:
    factor = f"{prefix}.{place.factor}" if place.factor else ""
    return replace(place, module=f"{prefix}.{place.module}".rstrip("."), factor=factor)
