"""Falsifiers of exported GGUF files: their header, whether llama.cpp loads them, and its logits."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from harness.case import Case
from harness.consumers.llama_cpp import Request, ask
from harness.falsifiers.baselines import checkpoints
from harness.falsifiers.baselines.gguf.package import tensor_names
from harness.falsifiers.inputs.exported import exported, tokens_of
from harness.observation import Observation
from harness.reference.model.decoder import decoder_logits
from harness.reference.model.quantized_decoder import quantized_logits
from harness.reference.ops.quantization import dequantize, quantize, steps

MEASURES = {
    "keys_wrong": "number of keys that are missing or differ from the config",
    "tensors_missing": "number of the model's tensors that the file lacks",
    "tensors_extra": "number of tensors in the file that the model does not have",
    "types_wrong": "number of tensors with a wrong shape or type: vectors must be F32, matrices the requested type",
    "refused": "number of builds of llama.cpp that do not load the file",
    "refused_for_architecture": "number of builds whose error names the architecture",
    "refused_for_tensor": "number of builds whose error names a tensor or the number of tensors",
    "refused_for_key": "number of builds whose error names a missing key",
    "refused_for_tokenizer": "number of builds whose error names the tokenizer's merges or its pre-tokenizer",
    "aborted": "1 if computing with the loaded file ends llama.cpp's process, else 0",
    "apart": "relative L2 difference of llama.cpp's logits and the float64 reference's",
    "median_row": "median over rows of the relative L2 difference of llama.cpp's logits and the reference's",
    "worst_row": "largest relative L2 difference of a row of llama.cpp's logits and the reference's",
    "moved": "relative L2 difference of llama.cpp's logits and the float64 logits of the unquantised model",
    "names_differ": "number of tensors that importing the file loses, adds or renames",
    "numbers_differ": "number of imported elements that differ from the packed weights",
    "config_differs": "number of the model's config values that importing the file changes",
}
WORDS = {
    "architecture": r"architecture: '",
    "tensor": r"tensor '|number of tensors",
    "key": r"key not found in model: [\w.]+",
    "tokenizer": r"tokenizer merges|pre-tokenizer",
}
"""Parts of llama.cpp's error messages that are equal in both builds; the rest differs between builds."""
TIE = 0.5 + 1 / 128
"""Steps of a block: half of one, and what the block's step loses when it is stored in float16."""
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "BF16": 32}
ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "qwen3_5_text": "qwen35"}


def header(subject: Any, case: Case, *, model: str, kind: str, weights: str | None = None) -> Observation:
    """Keys and tensors of an exported file, read with the gguf package and its own table of names."""
    with exported(subject, case, model, kind, weights) as (path, config, tensors, kind):
        keys, found = checkpoints.read_gguf(path)
    names = tensor_names(config, list(tensors))
    wanted = {target: tensors[name] for name, target in names.items()}
    expected = _keys(config, kind)
    wrong = sum(not _same(keys.get(name), value) for name, value in expected.items())
    return Observation(
        keys_wrong=wrong,
        tensors_missing=len(wanted.keys() - found.keys()),
        tensors_extra=len(found.keys() - wanted.keys()),
        types_wrong=sum(found[n] != _planned(n, w, kind) for n, w in wanted.items() if n in found),
    )


def loads(subject: Any, case: Case, *, model: str, kind: str, weights: str | None = None) -> Observation:
    """Two builds of llama.cpp load a file (the second only files with a tokenizer) and compute with it."""
    with exported(subject, case, model, kind, weights) as (path, config, _, _):
        tokens = tokens_of(case, config, 1, 1).tolist()
        first = ask(path, Request(tokens=tokens))
        died = "process ended" in first.refusal
        # The server that xllamacpp starts needs a vocabulary.
        second = first if model != "trained" else ask(path, Request(), engine="xllamacpp")
    refusals = [answer.refusal for answer in (first, second) if not answer.ok and not died]
    named = {what: sum(bool(re.search(words, error)) for error in refusals) for what, words in WORDS.items()}
    return Observation(
        refused=len(refusals),
        aborted=int(died),
        refused_for_architecture=named["architecture"],
        refused_for_tensor=named["tensor"],
        refused_for_key=named["key"],
        refused_for_tokenizer=named["tokenizer"],
    )


def logits(subject: Any, case: Case, *, model: str, count: int, length: int, weights: str | None = None) -> Observation:
    """llama.cpp's logits of an exported F32 file against the float64 reference with the folder's weights.

    Shapes: tokens (count, length) -> logits (count, length, V); flash attention off, keys and values in F32.
    """
    with exported(subject, case, model, "F32", weights) as (path, config, tensors, _):
        tokens = tokens_of(case, config, count, length)
        got = llama_cpp_logits(path, tokens, config)
    want = case.once(decoder_logits, config, tensors, tokens)
    return Observation(apart=float(np.linalg.norm(got - want) / np.linalg.norm(want)))


def packed(subject: Any, case: Case, *, model: str, kind: str, count: int, length: int, weights: str) -> Observation:
    """llama.cpp's logits of a quantised file against the reference that rounds weights and activations as ggml does.

    Shapes: tokens (count, length), short, because one activation that rounds differently changes all later rows.
    """
    with exported(subject, case, model, kind, weights) as (path, config, tensors, _):
        tokens = tokens_of(case, config, count, length)
        got = llama_cpp_logits(path, tokens, config).astype(np.float64)
    want = case.once(quantized_logits, config, tensors, tokens, kind)
    exact = case.once(decoder_logits, config, tensors, tokens)
    rows = np.linalg.norm(got - want, axis=-1) / np.linalg.norm(want, axis=-1)
    return Observation(
        median_row=float(np.median(rows)),
        worst_row=float(np.max(rows)),
        moved=float(np.linalg.norm(got - exact) / np.linalg.norm(exact)),
        series={"row": rows.reshape(-1)},
    )


def round_trip(subject: Any, case: Case, *, model: str, kind: str, weights: str | None = None) -> Observation:
    """Importing an exported file gives the packed tensors and the model's config values."""
    with exported(subject, case, model, kind, weights) as (path, config, tensors, _):
        found_config, found = subject.import_gguf(str(path))
    differ = 0
    for name, w in tensors.items():
        if name not in found or found[name].shape != w.shape:
            differ += w.size
            continue
        differ += int((~_same_numbers(name, w, found[name], kind)).sum())
    figures: tuple[str, ...] = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "vocab_size",
    )
    figures += ("intermediate_size", "max_position_embeddings", "model_type", "tie_word_embeddings")
    figures += tuple(key for key in config if key.startswith("linear_"))
    wrong = sum(found_config.get(key) != config.get(key) for key in figures)
    wrong += not _same(found_config.get("rms_norm_eps"), config["rms_norm_eps"])
    wrong += not _same(_rope(found_config).get("rope_theta"), _rope(config)["rope_theta"])
    for key, default in (("partial_rotary_factor", 1.0), ("mrope_section", None)):
        wrong += _rope(found_config).get(key, default) != _rope(config).get(key, default)
    wrong += found_config.get("layer_types", config.get("layer_types")) != config.get("layer_types")
    return Observation(names_differ=len(found.keys() ^ tensors.keys()), numbers_differ=differ, config_differs=wrong)


def _same_numbers(name: str, w: np.ndarray, found: np.ndarray, kind: str) -> np.ndarray:
    """Where a number that was read back is the weight, rounded once if its type is narrower.

    log(-(-exp(x))) and the norms' gain + 1 - 1 lose a bit or two; all other transforms only move bytes. Between two
    codes of Q8_0 or Q4_0, correct packers may take either: one fuses a product and a sum, another rounds both.
    """
    moved = name.endswith(("A_log", "norm.weight"))
    near = np.isclose(found, _kept(name, w, kind), rtol=3e-7 * moved, atol=1e-7 * moved)
    if w.ndim == 2 and kind in ("Q8_0", "Q4_0"):
        step, kept = steps(w, kind), _kept(name, w, kind)
        neighbour = np.isclose(np.abs(found.astype(np.float64) - kept), step, rtol=2.0**-10, atol=0)
        near |= neighbour & (np.abs(found - w.astype(np.float64)) <= TIE * step)
    return np.asarray(near)


def _kept(name: str, w: np.ndarray, kind: str) -> np.ndarray:
    vector = w.ndim != 2
    return w if vector else dequantize(quantize(w, kind), kind)


def llama_cpp_logits(path: Any, tokens: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    """llama.cpp's logits (B, T, V) of a file, NaN if it does not load. Shapes: tokens (B, T)."""
    answer = ask(path, Request(tokens=tokens.tolist()))
    if not answer.ok:
        return np.full((*tokens.shape, config["vocab_size"]), np.nan, np.float32)
    return np.stack(answer.logits)


def _keys(config: dict[str, Any], kind: str) -> dict[str, Any]:
    arch = ARCHITECTURES[config["model_type"]]
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    share = _rope(config).get("partial_rotary_factor", 1.0)
    figures = {
        "block_count": config["num_hidden_layers"],
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
        "attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        "rope.freq_base": _rope(config)["rope_theta"],
        "rope.dimension_count": int(width * share),
    }
    named = {f"{arch}.{name}": value for name, value in figures.items()}
    return {"general.architecture": arch, "general.file_type": FILE_TYPES[kind], **named}


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, **(config.get("rope_parameters") or {})}


def _same(found: Any, value: Any) -> bool:
    """Whether two values are equal; floats are compared after rounding to float32."""
    if isinstance(value, float):
        return isinstance(found, (int, float)) and np.float32(found) == np.float32(value)
    return bool(found == value)


def _planned(target: str, w: np.ndarray, kind: str) -> tuple[str, tuple[int, ...]]:
    shape = (w.shape[0], w.shape[2]) if w.ndim == 3 else w.shape
    whole = shape[-1] % 32 == 0 or kind in ("F32", "F16", "BF16")
    vector = len(shape) == 1 or target.endswith("ssm_conv1d.weight")
    return "F32" if vector else kind if whole else "F16", shape
