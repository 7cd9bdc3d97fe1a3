"""Falsifiers of a given GGUF file, with and without the checkpoint from which it was made."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness.case import Case
from harness.consumers.llama_cpp import Request, ask
from harness.falsifiers.baselines import checkpoints
from harness.falsifiers.inputs.exported import exported, tokens_of
from harness.falsifiers.packaging.gguf import llama_cpp_logits
from harness.observation import Observation
from harness.reference.model.decoder import decoder_logits
from harness.reference.model.quantized_decoder import quantized_logits

MEASURES = {
    "keys_missing": "number of keys that the file lacks and llama.cpp requires or replaces by a default",
    "rows_short": "absolute difference of the numbers of embedding rows and tokens",
    "refused": "1 if llama.cpp does not load the file, else 0",
    "aborted": "1 if computing with the loaded file ends llama.cpp's process, else 0",
    "median_row": "median over rows of the relative L2 difference of llama.cpp's logits and the reference's",
    "worst_row": "largest relative L2 difference of a row of llama.cpp's logits and the reference's",
}
REQUIRED = (
    *("block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count"),
    *("attention.head_count_kv", "attention.layer_norm_rms_epsilon", "rope.freq_base"),
)


class NoReference(Exception):
    """There is no reference for llama.cpp's logits of this file: the claim is UNVERIFIED."""

    unsupported = True


def own_logits(subject: Any, case: Case, *, count: int, length: int, weights: str, half: bool = False) -> Observation:
    """llama.cpp's logits of a file against the reference that rounds the checkpoint's weights as the file's type does.

    Shapes: tokens (count, length). Units: with half only F16 files, without it only other types; F16 has
           wider limits, because some of its activations lie near a rounding tie and round differently.
    Raises: NoReference (UNVERIFIED) for a quantised file of an architecture without such a reference.
    """
    requested = "F16" if half and not subject.offers("own_kind") else "own"
    with exported(subject, case, "trained", requested, weights) as (path, config, tensors, kind):
        if (kind == "F16") != half:
            raise NoReference(
                f"the file is {kind}, but this claim covers {'only F16' if half else 'all types except F16'}"
            )
        if kind != "F32" and config["model_type"] not in ("qwen2", "llama"):
            raise NoReference(f"no reference rounds as llama.cpp does for a {config['model_type']} in {kind}")
        tokens = tokens_of(case, config, count, length)
        got = llama_cpp_logits(path, tokens, config).astype(np.float64)
    exact = kind == "F32"
    want = (
        case.once(decoder_logits, config, tensors, tokens) if exact else quantized_logits(config, tensors, tokens, kind)
    )
    rows = np.linalg.norm(got - want, axis=-1) / np.linalg.norm(want, axis=-1)
    return Observation(
        median_row=float(np.median(rows)), worst_row=float(np.max(rows)), series={"row": rows.reshape(-1)}
    )


def inspected(subject: Any, case: Case) -> Observation:
    """Checks of a file that need no checkpoint: its keys, as many rows as tokens, and that llama.cpp loads it."""
    if subject.offers("own_kind"):
        with TemporaryDirectory() as place:
            path = Path(place) / "own.gguf"
            subject.export_gguf("", str(path), subject.own_kind())
            return _inspected(path)
    with exported(subject, case, "crafted", "F32", None) as (path, _, _, _):
        return _inspected(path)


def _inspected(path: Path) -> Observation:
    first = ask(path, Request(tokens=[[0]]))
    died = "process ended" in first.refusal
    keys, tensors = _header(path)
    arch = keys.get("general.architecture")
    rows = tensors.get("token_embd.weight", ("", (0, 0)))[1][0]
    tokens = keys.get("tokenizer.ggml.tokens")
    return Observation(
        keys_missing=sum(f"{arch}.{name}" not in keys for name in REQUIRED),
        rows_short=0 if tokens is None else abs(rows - len(tokens)),
        refused=int(not first.ok and not died),
        aborted=int(died),
    )


def _header(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(keys, tensors) of a file; both empty if the gguf package cannot read it."""
    try:
        return checkpoints.read_gguf(path)
    except (ValueError, IndexError, KeyError):
        return {}, {}
