"""Convert a GGUF file to a Hugging Face config and weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.formats import gguf_header
from harness.formats.errors import Malformed
from harness.formats.gguf_header import ArrayValue, GgufHeader
from harness.formats.gguf_plan import ARCHITECTURES, plan
from harness.formats.gguf_transforms import invert


def load(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read (config, {Hugging Face name: float32 tensor}); dequantise every tensor and invert its transforms.

    Raises: Malformed naming the key or the tensor: a damaged file, an unsupported architecture, or
            tensors that differ from the plan's.
    """
    header = gguf_header.read(path)
    config = read_config(path, header)
    entries = {entry.target: entry for entry in plan(config).entries}
    found = {tensor.name: tensor for tensor in header.tensors}
    for name in [*entries, *found]:
        if name not in found or name not in entries:
            what = "is missing" if name not in found else "does not belong to this architecture"
            raise Malformed(f"{path}: tensor {name!r} {what}; expected the {len(entries)} tensors that its keys imply")
        if found[name].shape != entries[name].shape:
            raise Malformed(f"{path}: tensor {name!r} has shape {found[name].shape}, expected {entries[name].shape}")
    weights = {}
    with Path(path).open("rb") as stream:
        for name, entry in entries.items():
            stream.seek(header.data_offset + found[name].offset)
            raw = np.frombuffer(stream.read(found[name].bytes), np.uint8)
            try:
                numbers = _numbers(raw, found[name].type, entry.shape)
            except (NotImplementedError, KeyError):
                raise Malformed(
                    f"{path}: tensor {name!r} has type {found[name].type}, which cannot be unpacked"
                ) from None
            weights[entry.source] = np.ascontiguousarray(invert(entry.steps, numbers, config))
    return config, weights


def read_config(path: str | Path, header: GgufHeader) -> dict[str, Any]:
    """The Hugging Face config that the keys imply.

    Raises: Malformed naming a key that is missing or not a positive number, or if there are more layers than tensors.
    """
    arch = header.keys.get("general.architecture")
    kinds = {name: kind for kind, name in ARCHITECTURES.items()}
    if arch not in kinds:
        raise Malformed(f"{path}: found general.architecture {arch!r}, expected one of {', '.join(kinds)}")
    names = {tensor.name: tensor.shape for tensor in header.tensors}
    if "token_embd.weight" not in names:
        raise Malformed(f"{path}: tensor 'token_embd.weight' is missing")
    keys = _Keys(path, header, str(arch))
    layers = keys.count("block_count")
    if layers > len(names):
        raise Malformed(f"{path}: key '{arch}.block_count' is {layers}, but the file has {len(names)} tensors")
    heads, hidden = keys.count("attention.head_count"), keys.count("embedding_length")
    width = keys.count("attention.key_length", max(hidden // heads, 1))
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": keys.number("rope.freq_base")}
    config = {
        "model_type": kinds[arch],
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": keys.count("attention.head_count_kv", heads),
        "head_dim": width,
        "intermediate_size": keys.count("feed_forward_length"),
        "vocab_size": names["token_embd.weight"][0],
        "max_position_embeddings": keys.count("context_length"),
        "rms_norm_eps": keys.number("attention.layer_norm_rms_epsilon"),
        "rope_parameters": rope,
        "tie_word_embeddings": "output.weight" not in names,
        "hidden_act": "silu",
    }
    if arch == "llama":
        config |= {"attention_bias": "blk.0.attn_q.bias" in names, "mlp_bias": "blk.0.ffn_up.bias" in names}
    if arch == "qwen35":
        share = keys.count("rope.dimension_count", width) / width
        rope |= {"partial_rotary_factor": share, "mrope_section": _sections(path, header)}
        config |= _delta(layers, keys)
    return config


@dataclass(frozen=True)
class _Keys:
    """Reads the architecture's keys as positive numbers; raises Malformed naming the key otherwise."""

    path: str | Path
    header: GgufHeader
    arch: str

    def count(self, name: str, default: int | None = None) -> int:
        found = self.number(name, default)
        if not isinstance(found, int) or found >= 1 << 31:
            raise Malformed(f"{self.path}: key '{self.arch}.{name}' is {found!r}, expected a positive whole number")
        return found

    def number(self, name: str, default: float | None = None) -> float:
        found = self.header.keys.get(f"{self.arch}.{name}", default)
        if found is None:
            raise Malformed(f"{self.path}: key '{self.arch}.{name}' is missing")
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 < found < float("inf"):
            shown = "an array" if isinstance(found, ArrayValue) else repr(found)[:40]
            raise Malformed(f"{self.path}: key '{self.arch}.{name}' is {shown}, expected a positive number")
        return found


def _delta(layers: int, keys: _Keys) -> dict[str, Any]:
    interval, values = keys.count("full_attention_interval"), keys.count("ssm.time_step_rank")
    kinds = ("linear_attention", "full_attention")
    return {
        "layer_types": [kinds[(i + 1) % interval == 0] for i in range(layers)],
        "linear_num_key_heads": keys.count("ssm.group_count"),
        "linear_num_value_heads": values,
        "linear_key_head_dim": keys.count("ssm.state_size"),
        "linear_value_head_dim": keys.count("ssm.inner_size") // values,
        "linear_conv_kernel_dim": keys.count("ssm.conv_kernel"),
        "attention_bias": False,
    }


def _sections(path: str | Path, header: GgufHeader) -> list[int]:
    found = header.keys.get("qwen35.rope.dimension_sections")
    if not isinstance(found, ArrayValue) or not 3 <= found.count <= 4:
        raise Malformed(f"{path}: key 'qwen35.rope.dimension_sections' is missing or does not hold 3 or 4 numbers")
    sections = gguf_header.read_array(path, found, most=3)
    if not all(type(n) is int and n >= 0 for n in sections):
        raise Malformed(f"{path}: key 'qwen35.rope.dimension_sections' holds {sections}, expected whole numbers")
    return sections


def _numbers(raw: np.ndarray, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    import gguf

    rows = raw.reshape(*shape[:-1], -1)
    if kind == "F32":
        return rows.view(np.float32)
    if kind == "F16":
        return rows.view(np.float16).astype(np.float32)
    found: np.ndarray = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType[kind])
    return found.reshape(shape)
