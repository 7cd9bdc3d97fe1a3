"""Falsifiers of a GGUF file at hand, with the checkpoint it was made from and without."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from harness.case import Case
from harness.consumers.llama_cpp import Request, ask
from harness.falsifiers.baselines import checkpoints
from harness.falsifiers.inputs.exported import exported, tokens_of
from harness.falsifiers.inputs.hybrid_model import logits_of
from harness.falsifiers.packaging.gguf import llama_cpp_logits
from harness.observation import Observation
from harness.reference.model.quantized_decoder import quantized_logits

MEASURES = {
    "keys_missing": "number of keys that llama.cpp needs, or takes a default for, and that the file lacks",
    "rows_short": "rows of the embedding by which the number of tokens differs",
    "refused": "1 where llama.cpp does not load the file, else 0",
    "aborted": "1 where computing with the loaded file ends llama.cpp's process, else 0",
    "median_row": "median over rows of the relative L2 distance of llama.cpp's logits from the reference's",
    "worst_row": "largest relative L2 distance of a row of llama.cpp's logits from the reference's",
}
ASKED = (
    *("block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count"),
    *("attention.head_count_kv", "attention.layer_norm_rms_epsilon", "rope.freq_base"),
)


class NoReference(Exception):
    """Nothing that is known says what llama.cpp should compute from this file: UNVERIFIED."""

    unsupported = True


def own_logits(subject: Any, case: Case, *, count: int, length: int, weights: str, half: bool = False) -> Observation:
    """A file's logits in llama.cpp against the reference that rounds as its type asks, on the checkpoint's own weights.

    Shapes: tokens (count, length). Units: half asks for F16 files and takes no others, else the other way round: some
           activations of F16 fall on the other side of a half, so that its limits are wider.
    Raises: NoReference (UNVERIFIED) for a packed file of an architecture without such a reference.
    """
    asked = "F16" if half and not subject.offers("own_kind") else "own"
    with exported(subject, case, "trained", asked, weights) as (path, config, tensors, kind):
        if (kind == "F16") != half:
            raise NoReference(f"the file is {kind}, and this claim is of {'F16' if half else 'all other types'}")
        if kind != "F32" and config["model_type"] not in ("qwen2", "llama"):
            raise NoReference(f"no reference rounds as llama.cpp does for a {config['model_type']} in {kind}")
        tokens = tokens_of(case, config, count, length)
        got = llama_cpp_logits(path, tokens, config).astype(np.float64)
    exact = kind == "F32"
    want = (
        case.once(logits_of(config), config, tensors, tokens)
        if exact
        else quantized_logits(config, tensors, tokens, kind)
    )
    rows = np.linalg.norm(got - want, axis=-1) / np.linalg.norm(want, axis=-1)
    return Observation(
        median_row=float(np.median(rows)), worst_row=float(np.max(rows)), series={"row": rows.reshape(-1)}
    )


def inspected(subject: Any, case: Case) -> Observation:
    """What can be said of a file without the checkpoint it came from: keys, rows against tokens, and that it loads."""
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
        keys_missing=sum(f"{arch}.{name}" not in keys for name in ASKED),
        rows_short=0 if tokens is None else abs(rows - len(tokens)),
        refused=int(not first.ok and not died),
        aborted=int(died),
    )


def _header(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Nothing of a file that the gguf package cannot read."""
    try:
        return checkpoints.read_gguf(path)
    except (ValueError, IndexError, KeyError):
        return {}, {}
