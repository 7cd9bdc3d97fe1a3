"""Write GGUF files with the gguf package: its name map, writer, quantisation and special vocabulary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from harness.falsifiers.baselines.gguf.names import ARCHITECTURES, tensor_names
from harness.falsifiers.baselines.gguf.reading import import_gguf

__all__ = ["ARRAYS", "export_gguf", "import_gguf", "tensor_names"]
ARRAYS = "torch"
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "BF16": 32}


def export_gguf(folder: str, path: str, kind: str, *, tokenizer: bool = True) -> None:
    """Write a Hugging Face folder's model to a GGUF file, as llama.cpp's converter does."""
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    arch = ARCHITECTURES[config["model_type"]]
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    _hyper_parameters(writer, config, kind)
    if tokenizer:
        _tokenizer(writer, Path(folder), config["vocab_size"])
    else:
        writer.add_tokenizer_model("no_vocab")
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    weights: dict[str, torch.Tensor] = {}
    for shard in sorted(Path(folder).glob("*.safetensors")):
        weights |= load_file(shard)
    for name, tensor in weights.items():
        renamed = name.replace("dt_bias", "dt_proj.bias")
        target = names.get_name(renamed, try_suffixes=(".weight", ".bias"))
        assert target is not None, name
        data = _transformed(name, tensor.float().numpy(), config)
        block = {"Q8_0": 32, "Q4_0": 32}.get(kind, 1)
        plain = data.ndim == 1 or "ssm_conv1d" in target
        wanted = gguf.GGMLQuantizationType["F32" if plain else kind if data.shape[-1] % block == 0 else "F16"]
        with np.errstate(divide="ignore", over="ignore"):
            writer.add_tensor(target, gguf.quants.quantize(np.ascontiguousarray(data), wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _hyper_parameters(writer: Any, config: dict[str, Any], kind: str) -> None:
    rope = {**config, **(config.get("rope_parameters") or {})}
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(int(width * rope.get("partial_rotary_factor", 1.0)))
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(2)
    if config["model_type"] == "qwen3_5_text":
        writer.add_rope_dimension_sections([*rope["mrope_section"], 0])
        writer.add_ssm_conv_kernel(config["linear_conv_kernel_dim"])
        writer.add_ssm_state_size(config["linear_key_head_dim"])
        writer.add_ssm_group_count(config["linear_num_key_heads"])
        writer.add_ssm_time_step_rank(config["linear_num_value_heads"])
        writer.add_ssm_inner_size(config["linear_num_value_heads"] * config["linear_value_head_dim"])
        writer.add_full_attention_interval(config["layer_types"].index("full_attention") + 1)


def _tokenizer(writer: Any, folder: Path, rows: int) -> None:
    words = Tokenizer.from_file(str(folder / "tokenizer.json"))
    beside, user = words.get_added_tokens_decoder(), gguf.TokenType.USER_DEFINED
    kinds = {i: gguf.TokenType.CONTROL if token.special else user for i, token in beside.items()}
    known = [words.id_to_token(i) for i in range(rows)]
    unused = gguf.TokenType.UNUSED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([f"[PAD{i}]" if token is None else token for i, token in enumerate(known)])
    writer.add_token_types(
        [unused if token is None else kinds.get(i, gguf.TokenType.NORMAL) for i, token in enumerate(known)]
    )
    writer.add_add_bos_token(False)
    gguf.SpecialVocab(folder, load_merges=True).add_to_gguf(writer, quiet=True)


def _transformed(name: str, x: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    kind = config["model_type"]
    if kind == "llama" and name.endswith(("q_proj.weight", "q_proj.bias", "k_proj.weight", "k_proj.bias")):
        heads = config["num_attention_heads"] if ".q_proj" in name else config["num_key_value_heads"]
        return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)
    if kind != "qwen3_5_text":
        return x
    if name.endswith("norm.weight") and "linear_attn" not in name:
        return x + np.float32(1)
    return _delta(name.rsplit("linear_attn.", 1)[-1], x, config) if "linear_attn" in name else x


def _delta(name: str, x: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    """Reorder value heads from Hugging Face's order (grouped by key head) to GGUF's (tiled)."""
    groups, heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
    width = config["linear_value_head_dim"]

    def tiled(rows: np.ndarray) -> np.ndarray:
        whole = rows.reshape(groups, heads // groups, -1, *rows.shape[1:])
        return whole.swapaxes(0, 1).reshape(rows.shape)

    if name in ("in_proj_qkv.weight", "conv1d.weight"):
        x = x[:, 0] if x.ndim == 3 else x
        return np.concatenate([x[: len(x) - heads * width], tiled(x[len(x) - heads * width :])])
    if name == "out_proj.weight":
        return np.ascontiguousarray(tiled(np.ascontiguousarray(x.T)).T)
    if name == "A_log":
        return tiled(-np.exp(x))
    return x if name == "norm.weight" else tiled(x)
