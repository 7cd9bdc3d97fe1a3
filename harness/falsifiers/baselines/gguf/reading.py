"""Read GGUF files with the gguf package's reader, and invert the transforms of their tensors."""

from __future__ import annotations

from typing import Any

import gguf
import numpy as np
import torch

from harness.falsifiers.baselines.gguf.names import ARCHITECTURES, tensor_names

DELTA = (
    *("in_proj_qkv.weight", "in_proj_z.weight", "in_proj_b.weight", "in_proj_a.weight", "out_proj.weight"),
    *("conv1d.weight", "dt_bias", "A_log", "norm.weight"),
)


def import_gguf(path: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """(config, weights) of a file, with Hugging Face names, dequantised and with inverted transforms."""
    reader = gguf.GGUFReader(path)
    keys = {name: field.contents() for name, field in reader.fields.items()}
    arch = keys["general.architecture"]
    kind = next(k for k, a in ARCHITECTURES.items() if gguf.MODEL_ARCH_NAMES[a] == arch)
    found = {t.name: np.asarray(gguf.quants.dequantize(t.data, t.tensor_type)) for t in reader.tensors}
    config: dict[str, Any] = {
        "model_type": kind,
        "hidden_size": keys[f"{arch}.embedding_length"],
        "num_hidden_layers": keys[f"{arch}.block_count"],
        "num_attention_heads": keys[f"{arch}.attention.head_count"],
        "num_key_value_heads": keys[f"{arch}.attention.head_count_kv"],
        "head_dim": keys[f"{arch}.attention.key_length"],
        "intermediate_size": keys[f"{arch}.feed_forward_length"],
        "max_position_embeddings": keys[f"{arch}.context_length"],
        "rms_norm_eps": keys[f"{arch}.attention.layer_norm_rms_epsilon"],
        "rope_parameters": {"rope_type": "default", "rope_theta": keys[f"{arch}.rope.freq_base"]},
        "vocab_size": len(found["token_embd.weight"]),
        "tie_word_embeddings": "output.weight" not in found,
    }
    if kind == "qwen3_5_text":
        config |= _delta_config(keys, config)
    names = _candidates(config)
    table = {target: name for name, target in tensor_names(config, names).items()}
    return config, {table[n]: torch.from_numpy(_undone(table[n], x.copy(), config)) for n, x in found.items()}


def _delta_config(keys: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    every, heads = keys["qwen35.full_attention_interval"], keys["qwen35.ssm.time_step_rank"]
    attends = [(i + 1) % every == 0 for i in range(config["num_hidden_layers"])]
    share = keys["qwen35.rope.dimension_count"] / config["head_dim"]
    sections = [int(n) for n in keys["qwen35.rope.dimension_sections"][:3]]
    return {
        "layer_types": ["full_attention" if attend else "linear_attention" for attend in attends],
        "linear_num_key_heads": keys["qwen35.ssm.group_count"],
        "linear_num_value_heads": heads,
        "linear_key_head_dim": keys["qwen35.ssm.state_size"],
        "linear_value_head_dim": keys["qwen35.ssm.inner_size"] // heads,
        "linear_conv_kernel_dim": keys["qwen35.ssm.conv_kernel"],
        "rope_parameters": {
            **config["rope_parameters"],
            "partial_rotary_factor": share,
            "mrope_section": sections,
        },
    }


def _candidates(config: dict[str, Any]) -> list[str]:
    parts = [f"self_attn.{n}_proj.{k}" for n in "qkvo" for k in ("weight", "bias")]
    parts += [f"mlp.{n}_proj.weight" for n in ("gate", "up", "down")] + ["input_layernorm.weight"]
    parts += ["post_attention_layernorm.weight"]
    if config["model_type"].startswith("qwen3"):
        parts += ["self_attn.q_norm.weight", "self_attn.k_norm.weight"]
    if config["model_type"] == "qwen3_5_text":
        parts += [f"linear_attn.{n}" for n in DELTA]
    layers = [f"model.layers.{i}.{part}" for i in range(config["num_hidden_layers"]) for part in parts]
    return ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight", *layers]


def _undone(name: str, x: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    if config["model_type"] == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
        heads = config["num_attention_heads"] if ".q_proj" in name else config["num_key_value_heads"]
        return np.ascontiguousarray(x.reshape(heads, -1, 2, x.shape[1]).swapaxes(1, 2)).reshape(x.shape)
    if config["model_type"] != "qwen3_5_text":
        return x
    if "linear_attn" in name:
        return _delta(name.rsplit("linear_attn.", 1)[-1], x, config)
    return x - np.float32(1) if name.endswith("norm.weight") else x


def _delta(name: str, x: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    """Reorder value heads from GGUF's order (tiled) back to Hugging Face's (grouped by key head)."""
    groups, heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
    values = heads * config["linear_value_head_dim"]

    def grouped(rows: np.ndarray) -> np.ndarray:
        each = np.split(rows, heads)
        return np.concatenate(
            [each[part * groups + group] for group in range(groups) for part in range(heads // groups)]
        )

    if name in ("in_proj_qkv.weight", "conv1d.weight"):
        whole = np.concatenate([x[: len(x) - values], grouped(x[len(x) - values :])])
        return whole[:, None] if name == "conv1d.weight" else whole
    if name == "out_proj.weight":
        return np.ascontiguousarray(grouped(np.ascontiguousarray(x.T)).T)
    if name == "A_log":
        return np.log(-grouped(x))
    return x if name == "norm.weight" else grouped(x)
