"""GGUF files that llama.cpp refuses, or dies of (system E3; each refusal was met)"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from harness.falsifiers.baselines.gguf.rewrite import Keys, Tensors
from harness.falsifiers.packaging.mutants.gguf_edit import edited_file, key_of, need_tokenizer
from harness.mutant import Inapplicable, mutant, replace


@mutant
def class_name_as_architecture(baseline: Any) -> Any:
    """general.architecture is Hugging Face's class name (system E3; refused: unknown model architecture)."""
    names = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
    names["qwen35"] = "Qwen3_5ForCausalLM"
    return edited_file(
        baseline, lambda keys, tensors: keys.update({"general.architecture": names[keys["general.architecture"]]})
    )


@mutant
def tokens_not_padded(baseline: Any) -> Any:
    """Fewer tokens than embedding rows, 151,643 for 151,936 (system E3; refused: token_embd.weight has wrong shape)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        need_tokenizer(keys)
        kept = [t for t in keys["tokenizer.ggml.tokens"] if not t.startswith("[PAD")]
        keys["tokenizer.ggml.tokens"] = kept
        keys["tokenizer.ggml.token_type"] = keys["tokenizer.ggml.token_type"][: len(kept)]
        keys.pop(f"{keys['general.architecture']}.vocab_size", None)

    return edited_file(baseline, edit)


@mutant
def tensor_missing(baseline: Any) -> Any:
    """One tensor is left out (system E3; refused: missing tensor)."""
    return edited_file(baseline, lambda keys, tensors: tensors.pop("blk.1.ffn_down.weight") and None)


@mutant
def tensor_too_many(baseline: Any) -> Any:
    """A tensor the architecture does not have (system E3; refused: wrong number of tensors)."""
    return edited_file(
        baseline, lambda keys, tensors: tensors.update({"blk.0.extra.weight": ("F32", np.zeros((32, 32), np.float32))})
    )


@mutant
def cut_short(baseline: Any) -> Any:
    """The download stopped (system E3; refused: data is not within the file bounds)."""

    def export_gguf(folder: str, path: str, kind: str, *, tokenizer: bool = True) -> None:
        baseline.export_gguf(folder, path, kind, tokenizer=tokenizer)
        whole = Path(path).read_bytes()
        Path(path).write_bytes(whole[: len(whole) * 3 // 4])

    return replace(baseline, export_gguf=export_gguf)


@mutant
def eps_missing(baseline: Any) -> Any:
    """No norm eps (system E3; refused: key not found in model)."""
    return edited_file(
        baseline, lambda keys, tensors: keys.pop(key_of(keys, "attention.layer_norm_rms_epsilon")) and None
    )


@mutant
def tokenizer_missing(baseline: Any) -> Any:
    """No tokenizer (system E3; refused: key not found in model: tokenizer.ggml.model)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        need_tokenizer(keys)
        for name in [n for n in keys if n.startswith("tokenizer.")]:
            del keys[name]

    return edited_file(baseline, edit)


@mutant
def merges_missing(baseline: Any) -> Any:
    """Tokens without merges (system E3; refused: cannot find tokenizer merges)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        need_tokenizer(keys)
        del keys["tokenizer.ggml.merges"]

    return edited_file(baseline, edit)


@mutant
def pre_tokenizer_unknown(baseline: Any) -> Any:
    """A pre-tokenizer nobody has heard of (system E3; refused: unknown pre-tokenizer type)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        need_tokenizer(keys)
        keys["tokenizer.ggml.pre"] = "stdlib"

    return edited_file(baseline, edit)


@mutant
def vectors_in_f16(baseline: Any) -> Any:
    """Biases follow the matrices into F16: the file loads, and decoding aborts (system E3)."""

    def edit(keys: Keys, tensors: Tensors) -> None:
        if not any(name.endswith(".bias") for name in tensors):
            raise Inapplicable("no biases")
        for name, (_, data) in list(tensors.items()):
            if name.endswith(".bias"):
                tensors[name] = ("F16", data.astype(np.float16))

    return edited_file(baseline, edit)
