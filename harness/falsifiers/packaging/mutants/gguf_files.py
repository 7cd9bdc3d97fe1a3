"""GGUF files that load without a word and are another model (systems E3 and E4)"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.falsifiers.baselines.gguf.rewrite import Keys, Tensors, numbers, quantized
from harness.falsifiers.packaging.mutants.gguf_edit import edited_file, key_of
from harness.mutant import Inapplicable, mutant, replace


@mutant
def eps_of_1e_5(baseline: Any) -> Any:
    """eps 1e-5 for 1e-6: loads, and moves the logits of a trained model by 1e-5 (system D2)."""
    return edited_file(
        baseline, lambda keys, tensors: keys.update({key_of(keys, "attention.layer_norm_rms_epsilon"): 1e-5})
    )


@mutant
def biases_dropped(baseline: Any) -> Any:
    """The 72 biases: the file has none, and loads (system D3)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        biases = [name for name in tensors if name.startswith("blk.") and name.endswith("attn_q.bias")]
        if not biases:
            raise Inapplicable("no biases")
        for name in [n for n in tensors if n.endswith((".attn_q.bias", ".attn_k.bias", ".attn_v.bias"))]:
            del tensors[name]

    return edited_file(baseline, edit)


@mutant
def one_key_bias_dropped(baseline: Any) -> Any:
    """One layer's key bias is missing, and the file loads (system D3)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        if "blk.1.attn_k.bias" not in tensors:
            raise Inapplicable("no biases")
        del tensors["blk.1.attn_k.bias"]

    return edited_file(baseline, edit)


@mutant
def rope_base_missing(baseline: Any) -> Any:
    """rope.freq_base is not written, and 10000 is used (system D5)."""
    return edited_file(baseline, lambda keys, tensors: keys.pop(key_of(keys, "rope.freq_base")) and None)


@mutant
def output_head_missing(baseline: Any) -> Any:
    """The head of an untied model is not written: the embedding is used in its place (system D4)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        if "output.weight" not in tensors:
            raise Inapplicable("a tied model has none")
        del tensors["output.weight"]

    return edited_file(baseline, edit)


@mutant
def rows_not_permuted(baseline: Any) -> Any:
    """Llama's q and k rows in Hugging Face's order (system E4: unpermuted q and k)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        if keys["general.architecture"] != "llama":
            raise Inapplicable("only llama's rows are permuted")
        for name, (kind, data) in list(tensors.items()):
            if name.endswith(("attn_q.weight", "attn_k.weight")):
                heads = keys["llama.attention.head_count" + ("_kv" if "attn_k" in name else "")]
                width = len(data) // heads
                order = np.arange(len(data)).reshape(heads, width // 2, 2).swapaxes(1, 2).reshape(-1)
                tensors[name] = (kind, data[order])

    return edited_file(baseline, edit)


@mutant
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

    return edited_file(baseline, edit)


@mutant
def gains_without_one(baseline: Any) -> Any:
    """Qwen3.5's gains are written as they are stored, less 1 (system E3)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        for name, (kind, data) in list(tensors.items()):
            if name.endswith("norm.weight") and "ssm_norm" not in name:
                tensors[name] = (kind, data - np.float32(1))

    return edited_file(baseline, edit)


@mutant
def decay_as_stored(baseline: Any) -> Any:
    """ssm_a holds A_log for -exp(A_log) (system E3)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        for name, (kind, data) in list(tensors.items()):
            if name.endswith("ssm_a"):
                tensors[name] = (kind, np.log(-data))

    return edited_file(baseline, edit)


@mutant
def whole_head_rotated(baseline: Any) -> Any:
    """rope.dimension_count is the head's width (R6: ml-explore/mlx-lm#1698)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        keys["qwen35.rope.dimension_count"] = keys["qwen35.attention.key_length"]

    return edited_file(baseline, edit)


@mutant
def pair_without_section(baseline: Any) -> Any:
    """A rotated pair is in no section of rope.dimension_sections, and llama.cpp does not turn it (measured here).
    Synthetic: the sections are numbers of their own, and nothing checks that they add up to the pairs."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        keys["qwen35.rope.dimension_sections"] = [4, 2, 2, 0]

    return edited_file(baseline, edit)


@mutant
def one_matrix_in_f32(baseline: Any) -> Any:
    """One matrix is left in float32 (system E3: the plan)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        kind, data = tensors["blk.0.ffn_up.weight"]
        if kind == "F32":
            raise Inapplicable("all matrices are float32")
        tensors["blk.0.ffn_up.weight"] = ("F32", numbers(data, kind))

    return edited_file(baseline, edit)


@mutant
def blocks_across_rows(baseline: Any) -> Any:
    """Blocks run down the columns of a square matrix (Q3; system A7)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        for name, (kind, data) in list(tensors.items()):
            if name.endswith("attn_q.weight"):
                if kind in ("F32", "F16", "BF16"):
                    raise Inapplicable(f"{kind} has no blocks")
                x = numbers(data, kind)
                tensors[name] = (kind, quantized(x.T.reshape(x.shape), kind))

    return edited_file(baseline, edit)


@mutant
def scales_transposed(baseline: Any) -> Any:
    """The scales of a square matrix lie as (blocks, rows) (Q2: vllm-project/vllm#50204)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        kind, data = tensors["blk.0.attn_q.weight"]
        if kind not in ("Q8_0", "Q4_0"):
            raise Inapplicable(f"{kind} has no scales")
        blocks = data.reshape(len(data), -1, 34 if kind == "Q8_0" else 18).copy()
        scales = blocks[..., :2].view(np.float16)[..., 0]
        blocks[..., :2] = np.ascontiguousarray(scales.T).reshape(scales.shape)[..., None].view(np.uint8)
        tensors["blk.0.attn_q.weight"] = (kind, blocks.reshape(data.shape))

    return edited_file(baseline, edit)


@mutant
def rounded_down(baseline: Any) -> Any:
    """Matrices were rounded to 4 bits on their way to 8 or 16 (system A7)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        for name, (kind, data) in list(tensors.items()):
            if data.ndim == 2 and "token_embd" not in name:
                if kind in ("F32", "Q4_0"):
                    raise Inapplicable(f"{kind}: nothing between")
                coarse = numbers(quantized(numbers(data, kind), "Q4_0"), "Q4_0")
                tensors[name] = (kind, quantized(coarse, kind).view(data.dtype).reshape(data.shape))

    return edited_file(baseline, edit)


@mutant
def packed_not_at_all(baseline: Any) -> Any:
    """The file is float32 whatever is asked for: more exact than right (system A7)."""

    def export_gguf(folder: str, path: str, kind: str, *, tokenizer: bool = True) -> None:
        baseline.export_gguf(folder, path, "F32", tokenizer=tokenizer)

    return replace(baseline, export_gguf=export_gguf)
