"""Wrong GGUF files: what llama.cpp refuses, and what it loads without a word (systems E3 and E4)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from falsifiers.baselines.gguf_rewrite import Keys, Tensors, numbers, quantized, rewrite
from falsifiers.mutants import Inapplicable, replace

Edit = Callable[[Keys, Tensors], None]


def class_name_as_architecture(baseline: Any) -> Any:
    """general.architecture is Hugging Face's class name (refused: unknown model architecture)."""
    names = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
    return _file(
        baseline, lambda keys, tensors: keys.update({"general.architecture": names[keys["general.architecture"]]})
    )


def tokens_not_padded(baseline: Any) -> Any:
    """Fewer tokens than embedding rows, 151,643 for 151,936 (refused: token_embd.weight has wrong shape)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        _tokenizer(keys)
        kept = [t for t in keys["tokenizer.ggml.tokens"] if not t.startswith("[PAD")]
        keys["tokenizer.ggml.tokens"] = kept
        keys["tokenizer.ggml.token_type"] = keys["tokenizer.ggml.token_type"][: len(kept)]
        keys.pop(f"{keys['general.architecture']}.vocab_size", None)

    return _file(baseline, edit)


def tensor_missing(baseline: Any) -> Any:
    """One tensor is left out (refused: missing tensor)."""
    return _file(baseline, lambda keys, tensors: tensors.pop("blk.1.ffn_down.weight") and None)


def tensor_too_many(baseline: Any) -> Any:
    """A tensor the architecture does not have (refused: wrong number of tensors)."""
    return _file(
        baseline, lambda keys, tensors: tensors.update({"blk.0.extra.weight": ("F32", np.zeros((32, 32), np.float32))})
    )


def cut_short(baseline: Any) -> Any:
    """The download stopped (refused: data is not within the file bounds)."""

    def export_gguf(folder: str, path: str, kind: str, *, tokenizer: bool = True) -> None:
        baseline.export_gguf(folder, path, kind, tokenizer=tokenizer)
        whole = Path(path).read_bytes()
        Path(path).write_bytes(whole[: len(whole) * 3 // 4])

    return replace(baseline, export_gguf=export_gguf)


def eps_missing(baseline: Any) -> Any:
    """No norm eps (refused: key not found in model)."""
    return _file(baseline, lambda keys, tensors: keys.pop(_key(keys, "attention.layer_norm_rms_epsilon")) and None)


def tokenizer_missing(baseline: Any) -> Any:
    """No tokenizer (refused: key not found in model: tokenizer.ggml.model)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        _tokenizer(keys)
        for name in [n for n in keys if n.startswith("tokenizer.")]:
            del keys[name]

    return _file(baseline, edit)


def merges_missing(baseline: Any) -> Any:
    """Tokens without merges (refused: cannot find tokenizer merges)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        _tokenizer(keys)
        del keys["tokenizer.ggml.merges"]

    return _file(baseline, edit)


def pre_tokenizer_unknown(baseline: Any) -> Any:
    """A pre-tokenizer nobody has heard of (refused: unknown pre-tokenizer type)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        _tokenizer(keys)
        keys["tokenizer.ggml.pre"] = "stdlib"

    return _file(baseline, edit)


def vectors_in_f16(baseline: Any) -> Any:
    """Biases follow the matrices into F16: the file loads, and decoding aborts (interop)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        if not any(name.endswith(".bias") for name in tensors):
            raise Inapplicable("no biases")
        for name, (_, data) in list(tensors.items()):
            if name.endswith(".bias"):
                tensors[name] = ("F16", data.astype(np.float16))

    return _file(baseline, edit)


def eps_of_1e_5(baseline: Any) -> Any:
    """eps 1e-5 for 1e-6: loads, and moves the logits of a trained model by 1e-5 (system D2)."""
    return _file(baseline, lambda keys, tensors: keys.update({_key(keys, "attention.layer_norm_rms_epsilon"): 1e-5}))


def biases_dropped(baseline: Any) -> Any:
    """The 72 biases: the file has none, and loads (system D3)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        biases = [name for name in tensors if name.startswith("blk.") and name.endswith("attn_q.bias")]
        if not biases:
            raise Inapplicable("no biases")
        for name in [n for n in tensors if n.endswith((".attn_q.bias", ".attn_k.bias", ".attn_v.bias"))]:
            del tensors[name]

    return _file(baseline, edit)


def one_key_bias_dropped(baseline: Any) -> Any:
    """One layer's key bias is missing, and the file loads (system D3)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        if "blk.1.attn_k.bias" not in tensors:
            raise Inapplicable("no biases")
        del tensors["blk.1.attn_k.bias"]

    return _file(baseline, edit)


def rope_base_missing(baseline: Any) -> Any:
    """rope.freq_base is not written, and 10000 is used (system D5)."""
    return _file(baseline, lambda keys, tensors: keys.pop(_key(keys, "rope.freq_base")) and None)


def output_head_missing(baseline: Any) -> Any:
    """The head of an untied model is not written: the embedding is used in its place (system D4)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        if "output.weight" not in tensors:
            raise Inapplicable("a tied model has none")
        del tensors["output.weight"]

    return _file(baseline, edit)


def rows_not_permuted(baseline: Any) -> Any:
    """Llama's q and k rows in Hugging Face's order (A: huggingface/transformers rotary layout)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        if keys["general.architecture"] != "llama":
            raise Inapplicable("only llama's rows are permuted")
        for name, (kind, data) in list(tensors.items()):
            if name.endswith(("attn_q.weight", "attn_k.weight")):
                heads = keys["llama.attention.head_count" + ("_kv" if "attn_k" in name else "")]
                width = len(data) // heads
                order = np.arange(len(data)).reshape(heads, width // 2, 2).swapaxes(1, 2).reshape(-1)
                tensors[name] = (kind, data[order])

    return _file(baseline, edit)


def value_heads_grouped(baseline: Any) -> Any:
    """The delta net's gates stay in Hugging Face's order of heads (system E3)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        groups, heads = keys["qwen35.ssm.group_count"], keys["qwen35.ssm.time_step_rank"]
        if groups == heads:
            raise Inapplicable("as many value heads as key heads: one order")
        order = np.arange(heads).reshape(heads // groups, groups).T.reshape(-1)
        for name, (kind, data) in list(tensors.items()):
            if name.endswith(("ssm_alpha.weight", "ssm_a", "ssm_dt.bias")):
                tensors[name] = (kind, data[order])

    return _file(baseline, edit)


def gains_without_one(baseline: Any) -> Any:
    """Qwen3.5's gains are written as they are stored, less 1 (system E3)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        for name, (kind, data) in list(tensors.items()):
            if name.endswith("norm.weight") and "ssm_norm" not in name:
                tensors[name] = (kind, data - np.float32(1))

    return _file(baseline, edit)


def decay_as_stored(baseline: Any) -> Any:
    """ssm_a holds A_log for -exp(A_log) (system E3)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        for name, (kind, data) in list(tensors.items()):
            if name.endswith("ssm_a"):
                tensors[name] = (kind, np.log(-data))

    return _file(baseline, edit)


def whole_head_rotated(baseline: Any) -> Any:
    """rope.dimension_count is the head's width (R6)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        keys["qwen35.rope.dimension_count"] = keys["qwen35.attention.key_length"]

    return _file(baseline, edit)


def pair_without_section(baseline: Any) -> Any:
    """A rotated pair belongs to no section of rope.dimension_sections, and llama.cpp does not turn it (measured here)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        keys["qwen35.rope.dimension_sections"] = [4, 2, 2, 0]

    return _file(baseline, edit)


def one_matrix_in_f32(baseline: Any) -> Any:
    """One matrix is left in float32 (system E3: the plan)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        kind, data = tensors["blk.0.ffn_up.weight"]
        if kind == "F32":
            raise Inapplicable("all matrices are float32")
        tensors["blk.0.ffn_up.weight"] = ("F32", numbers(data, kind))

    return _file(baseline, edit)


def blocks_across_rows(baseline: Any) -> Any:
    """Blocks run down the columns of a square matrix (Q3)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        for name, (kind, data) in list(tensors.items()):
            if name.endswith("attn_q.weight"):
                if kind in ("F32", "F16", "BF16"):
                    raise Inapplicable(f"{kind} has no blocks")
                x = numbers(data, kind)
                tensors[name] = (kind, quantized(x.T.reshape(x.shape), kind))

    return _file(baseline, edit)


def scales_transposed(baseline: Any) -> Any:
    """The scales of a square matrix lie as (blocks, rows) (Q2)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        kind, data = tensors["blk.0.attn_q.weight"]
        if kind not in ("Q8_0", "Q4_0"):
            raise Inapplicable(f"{kind} has no scales")
        blocks = data.reshape(len(data), -1, 34 if kind == "Q8_0" else 18).copy()
        scales = blocks[..., :2].view(np.float16)[..., 0]
        blocks[..., :2] = np.ascontiguousarray(scales.T).reshape(scales.shape)[..., None].view(np.uint8)
        tensors["blk.0.attn_q.weight"] = (kind, blocks.reshape(data.shape))

    return _file(baseline, edit)


def rounded_down(baseline: Any) -> Any:
    """Matrices were rounded to 4 bits on their way to 8 or 16 (system A7)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        for name, (kind, data) in list(tensors.items()):
            if data.ndim == 2 and "token_embd" not in name:
                if kind in ("F32", "Q4_0"):
                    raise Inapplicable(f"{kind}: nothing between")
                coarse = numbers(quantized(numbers(data, kind), "Q4_0"), "Q4_0")
                tensors[name] = (kind, quantized(coarse, kind).view(data.dtype).reshape(data.shape))

    return _file(baseline, edit)


def packed_not_at_all(baseline: Any) -> Any:
    """The file is float32 whatever is asked for: more exact than right (system A7)."""

    def export_gguf(folder: str, path: str, kind: str, *, tokenizer: bool = True) -> None:
        baseline.export_gguf(folder, path, "F32", tokenizer=tokenizer)

    return replace(baseline, export_gguf=export_gguf)


def head_read_as_embedding(baseline: Any) -> Any:
    """Reading back, the head's tensor takes the embedding's place (system D4)."""
    return _reading(baseline, lambda config, w: (config, {**w, "model.embed_tokens.weight": w["lm_head.weight"]}))


def permutation_not_undone(baseline: Any) -> Any:
    """Reading back, Llama's q and k rows stay in llama.cpp's order (system E3)."""

    def edit(config: dict[str, Any], w: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        if config["model_type"] != "llama":
            raise Inapplicable("only llama's rows are permuted")
        heads = config["num_attention_heads"]
        for name in [n for n in w if n.endswith("self_attn.q_proj.weight")]:
            w[name] = w[name].unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
        return config, w

    return _reading(baseline, edit)


def eps_of_the_class(baseline: Any) -> Any:
    """Reading back, eps is the class's default (system D2)."""
    return _reading(baseline, lambda config, w: ({**config, "rms_norm_eps": 1e-5}, w))


def biases_not_read(baseline: Any) -> Any:
    """Reading back, optional tensors are left out (system D3)."""

    def edit(config: dict[str, Any], w: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        kept = {n: t for n, t in w.items() if not n.endswith(".bias")}
        if len(kept) == len(w):
            raise Inapplicable("no biases")
        return config, kept

    return _reading(baseline, edit)


def _file(baseline: Any, edit: Edit) -> Any:
    def export_gguf(folder: str, path: str, kind: str, *, tokenizer: bool = True) -> None:
        baseline.export_gguf(folder, path, kind, tokenizer=tokenizer)
        rewrite(path, edit)

    return replace(baseline, export_gguf=export_gguf)


def _reading(baseline: Any, edit: Callable[[dict[str, Any], dict[str, Any]], tuple[Any, Any]]) -> Any:
    return replace(baseline, import_gguf=lambda path: edit(*baseline.import_gguf(path)))


def _key(keys: Keys, name: str) -> str:
    return f"{keys['general.architecture']}.{name}"


def _tokenizer(keys: Keys) -> None:
    if "tokenizer.ggml.tokens" not in keys:
        raise Inapplicable("a file without a tokenizer")


MUTANTS = {
    "class_name_as_architecture": class_name_as_architecture,
    "tokens_not_padded": tokens_not_padded,
    "tensor_missing": tensor_missing,
    "tensor_too_many": tensor_too_many,
    "cut_short": cut_short,
    "eps_missing": eps_missing,
    "tokenizer_missing": tokenizer_missing,
    "merges_missing": merges_missing,
    "pre_tokenizer_unknown": pre_tokenizer_unknown,
    "vectors_in_f16": vectors_in_f16,
    "eps_of_1e_5": eps_of_1e_5,
    "biases_dropped": biases_dropped,
    "one_key_bias_dropped": one_key_bias_dropped,
    "rope_base_missing": rope_base_missing,
    "output_head_missing": output_head_missing,
    "rows_not_permuted": rows_not_permuted,
    "value_heads_grouped": value_heads_grouped,
    "gains_without_one": gains_without_one,
    "decay_as_stored": decay_as_stored,
    "whole_head_rotated": whole_head_rotated,
    "pair_without_section": pair_without_section,
    "one_matrix_in_f32": one_matrix_in_f32,
    "blocks_across_rows": blocks_across_rows,
    "scales_transposed": scales_transposed,
    "rounded_down": rounded_down,
    "packed_not_at_all": packed_not_at_all,
    "head_read_as_embedding": head_read_as_embedding,
    "permutation_not_undone": permutation_not_undone,
    "eps_of_the_class": eps_of_the_class,
    "biases_not_read": biases_not_read,
}
