"""The plan of a model's GGUF file: every tensor and every key, computed from the config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.formats.architecture import head_dim, layer_types, tensor_shapes, whole, with_rope
from harness.formats.errors import Malformed

ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "qwen3_5_text": "qwen35"}
"""model_type -> general.architecture."""
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "BF16": 32}
BLOCKS = {"Q4_0": 32, "Q8_0": 32}
WHOLE_MODEL = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
LAYER = {
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    **{f"self_attn.{n}_proj.{kind}": f"attn_{n}.{kind}" for n in "qkv" for kind in ("weight", "bias")},
    **{f"self_attn.o_proj.{kind}": f"attn_output.{kind}" for kind in ("weight", "bias")},
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight",
    **{f"mlp.{n}_proj.{kind}": f"ffn_{n}.{kind}" for n in ("gate", "up", "down") for kind in ("weight", "bias")},
}
DELTA = {
    "in_proj_qkv.weight": ("attn_qkv.weight", "value heads behind q and k"),
    "in_proj_z.weight": ("attn_gate.weight", "value heads"),
    "in_proj_b.weight": ("ssm_beta.weight", "value heads, one number each"),
    "in_proj_a.weight": ("ssm_alpha.weight", "value heads, one number each"),
    "conv1d.weight": ("ssm_conv1d.weight", "one channel", "value heads behind q and k"),
    "dt_bias": ("ssm_dt.bias", "value heads, one number each"),
    "A_log": ("ssm_a", "minus exp", "value heads, one number each"),
    "norm.weight": ("ssm_norm.weight",),
    "out_proj.weight": ("ssm_out.weight", "value heads as columns"),
}


@dataclass(frozen=True)
class Entry:
    """One tensor: its names in both formats, its steps (`gguf_transforms.STEPS`), its GGUF shape and type."""

    source: str
    target: str
    steps: tuple[str, ...]
    shape: tuple[int, ...]
    type: str


@dataclass(frozen=True)
class Plan:
    """A file's tensors and keys, without its tokenizer."""

    architecture: str
    entries: tuple[Entry, ...]
    keys: dict[str, Any]
    """Keys of the architecture, without the tokenizer's. Whole numbers are uint32, the others float32 or strings."""


def plan(config: Mapping[str, Any], *, type: str = "F32") -> Plan:
    """Plan the file of a model with this config, its matrices in `type` (F32, F16, BF16, Q8_0, Q4_0).

    Vectors and short convolutions are F32; a matrix whose row length is not a multiple of the block size is F16.
    Raises: Malformed naming the unsupported key or type.
    Source: gguf's MODEL_ARCH tables and llama.cpp's convert_hf_to_gguf.py.
    """
    if type not in FILE_TYPES:
        raise Malformed(f"type: found {type!r}, expected one of {', '.join(FILE_TYPES)}")
    shapes = tensor_shapes(config)
    entries = tuple(_entry(config, name, shape, type) for name, shape in shapes.items())
    kind = str(config["model_type"])
    return Plan(
        ARCHITECTURES[kind], entries, {**_keys(config, ARCHITECTURES[kind]), "general.file_type": FILE_TYPES[type]}
    )


def _entry(config: Mapping[str, Any], name: str, shape: tuple[int, ...], type: str) -> Entry:
    target, *steps = _target(config, name)
    if steps and steps[0] == "one channel":
        shape = (shape[0], shape[2])
    rows = shape[-1] % BLOCKS.get(type, 1) == 0
    own = "F32" if len(shape) == 1 or target.endswith("ssm_conv1d.weight") else type if rows else "F16"
    return Entry(name, target, tuple(steps), shape, own)


def _target(config: Mapping[str, Any], name: str) -> tuple[str, ...]:
    kind = config["model_type"]
    gains = ("gain plus one",) if kind == "qwen3_5_text" and name.endswith("norm.weight") else ()
    if name in WHOLE_MODEL:
        return (WHOLE_MODEL[name], *gains)
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.*)", name)
    assert found is not None, name
    block, part = f"blk.{found[1]}.", found[2]
    if part.startswith("linear_attn."):
        target, *steps = DELTA[part.removeprefix("linear_attn.")]
        return (block + target, *steps)
    if kind == "llama" and part.startswith(("self_attn.q_proj", "self_attn.k_proj")):
        return (block + LAYER[part], "rope pairs of queries" if ".q_proj" in part else "rope pairs of keys")
    if kind == "qwen3_5_text" and part == "post_attention_layernorm.weight":
        return (f"{block}post_attention_norm.weight", *gains)
    return (block + LAYER[part], *gains)


def _keys(config: Mapping[str, Any], arch: str) -> dict[str, Any]:
    rope = with_rope(config)
    theta, eps = rope.get("rope_theta"), config.get("rms_norm_eps")
    for key, value in (("rope_theta", theta), ("rms_norm_eps", eps)):
        if not _positive(value):
            raise Malformed(f"config: found {key} {str(value)[:40]}, expected a positive finite number")
    _plain_layers(config, rope)
    width = head_dim(config)
    heads = whole(config, "num_attention_heads")
    keys = {
        "general.architecture": arch,
        "general.quantization_version": 2,
        f"{arch}.context_length": whole(config, "max_position_embeddings"),
        f"{arch}.embedding_length": whole(config, "hidden_size"),
        f"{arch}.block_count": whole(config, "num_hidden_layers"),
        f"{arch}.feed_forward_length": whole(config, "intermediate_size"),
        f"{arch}.attention.head_count": heads,
        f"{arch}.attention.head_count_kv": whole(config, "num_key_value_heads", heads),
        f"{arch}.attention.layer_norm_rms_epsilon": float(eps),  # type: ignore[arg-type]
        f"{arch}.attention.key_length": width,
        f"{arch}.attention.value_length": width,
        f"{arch}.rope.freq_base": float(theta),  # type: ignore[arg-type]
        f"{arch}.rope.dimension_count": int(width * _share(rope)),
        f"{arch}.vocab_size": whole(config, "vocab_size"),
    }
    return keys | (_delta_keys(config, arch, rope) if arch == "qwen35" else {})


def _delta_keys(config: Mapping[str, Any], arch: str, rope: Mapping[str, Any]) -> dict[str, Any]:
    values = whole(config, "linear_num_value_heads") * whole(config, "linear_value_head_dim")
    sections = rope.get("mrope_section", [11, 11, 10])
    if not isinstance(sections, list) or len(sections) != 3 or not all(type(n) is int and n >= 0 for n in sections):
        raise Malformed(f"config: found mrope_section {str(sections)[:40]}, expected three whole numbers")
    sections = [*sections, 0]
    pairs = int(head_dim(config) * _share(rope)) // 2
    left = [pair for pair in range(pairs) if pair >= 3 * sections[pair % 3]]
    if left:
        raise Malformed(
            f"config: found mrope_section {sections[:3]}, which puts pair {left[0]} of {pairs} into no section: "
            "llama.cpp would not rotate it"
        )
    return {
        f"{arch}.rope.dimension_sections": sections,
        f"{arch}.ssm.conv_kernel": whole(config, "linear_conv_kernel_dim"),
        f"{arch}.ssm.state_size": whole(config, "linear_key_head_dim"),
        f"{arch}.ssm.group_count": whole(config, "linear_num_key_heads"),
        f"{arch}.ssm.time_step_rank": whole(config, "linear_num_value_heads"),
        f"{arch}.ssm.inner_size": values,
        f"{arch}.full_attention_interval": _interval(config),
    }


def _positive(value: Any) -> bool:
    """Whether the value is a positive number that float32 can hold."""
    return type(value) in (int, float) and 0 < value < 3e38


def _share(rope: Mapping[str, Any]) -> float:
    share = rope.get("partial_rotary_factor", 1.0)
    if not _positive(share) or share > 1:
        raise Malformed(f"config: found partial_rotary_factor {str(share)[:40]}, expected more than 0 and at most 1")
    return float(share)


def _plain_layers(config: Mapping[str, Any], rope: Mapping[str, Any]) -> None:
    """Raises: Malformed naming a setting for which the plan has no key."""
    scaling = config.get("rope_scaling") or {}
    scaled = scaling.get("rope_type", scaling.get("type", "default")) if isinstance(scaling, dict) else scaling
    for key, found, known in (
        ("rope_type", rope.get("rope_type", "default"), "default"),
        ("rope_scaling", scaled, "default"),
        ("use_sliding_window", bool(config.get("use_sliding_window")), False),
        ("hidden_act", config.get("hidden_act", "silu"), "silu"),
    ):
        if found != known:
            raise Malformed(f"config: found {key} {str(found)[:40]!r}, expected {known!r}: the plan supports no other")


def _interval(config: Mapping[str, Any]) -> int:
    """The n for which every n-th layer is attention, the only pattern of llama.cpp. Raises: Malformed for another."""
    types = layer_types(config)
    interval = next((i + 1 for i, kind in enumerate(types) if kind == "full_attention"), len(types) + 1)
    if any((kind == "full_attention") != ((i + 1) % interval == 0) for i, kind in enumerate(types)):
        raise Malformed(f"config: found layer_types {types}, expected full_attention in every n-th layer and no other")
    return interval
