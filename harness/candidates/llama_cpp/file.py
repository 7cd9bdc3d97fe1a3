"""A GGUF file as a candidate: llama.cpp computes, flash attention off, keys and values in F32."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.consumers.llama_cpp import Request, ask, build
from harness.errors import UserError
from harness.formats import gguf_header
from harness.formats.errors import Malformed
from harness.formats.gguf_header import GgufHeader
from harness.formats.gguf_import import read_config

KINDS = {0: "F32", 1: "F16", 2: "Q4_0", 7: "Q8_0", 32: "BF16"}
"""general.file_type of those that can be compared; others load and are not."""
FIGURES = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")


class NotComparable(Exception):
    """The claim asks for what this file, or llama.cpp, does not offer: UNVERIFIED, never FALSIFIED."""

    unsupported = True


def open(path: str) -> File:
    """The candidate of a file.

    Raises: UserError with one line if it is no whole GGUF file.
    """
    try:
        header = gguf_header.read(path)
    except Malformed as problem:
        raise UserError(f"--candidate gguf:{problem}") from None
    return File(Path(path), header)


class File:
    """A model file: its own bytes for the claims on files, llama.cpp's answers for those on models."""

    def __init__(self, path: Path, header: GgufHeader) -> None:
        self.path = path
        self.header = header

    def identity(self) -> str:
        """The build of llama.cpp that answers."""
        return build()

    def own_kind(self) -> str:
        """The file's type. Raises: NotComparable for one that the reference does not know."""
        found = self.header.keys.get("general.file_type")
        if found not in KINDS:
            raise NotComparable(f"general.file_type is {found!r}, and the reference knows {', '.join(KINDS.values())}")
        return KINDS[found]

    def export_gguf(self, folder: str, path: str, kind: str, *, tokenizer: bool = True) -> None:
        """The file itself, for an export of `folder`. Raises: NotComparable if another type or model is asked for."""
        if kind != self.own_kind() or not tokenizer:
            raise NotComparable(f"the file is {self.own_kind()} of one model, and the claim asks for others too")
        shutil.copyfile(self.path, path)

    def detokenize(self, ids: Sequence[int], folder: str) -> str:
        """The ids' text by llama.cpp, special tokens spelled out; the file's own tokenizer, not the folder's."""
        answer = ask(self.path, Request(lists=[list(ids)]))
        if not answer.ok:
            raise ValueError(f"llama.cpp: {answer.refusal}")
        return answer.pieces[0]

    def load(self, config: Mapping[str, Any], weights: Mapping[str, Any], *, dtype: str, device: str) -> Model:
        """The file's model; `weights` is what the falsifier compares with, not loaded.

        Raises: NotComparable if the config is not the file's, or another type than float32 is asked for.
        """
        if dtype != "float32":
            raise NotComparable(f"llama.cpp computes in float32, and the claim asks for {dtype}")
        own = read_config(self.path, self.header)
        differing = [key for key in FIGURES if config.get(key) != own.get(key)]
        if differing:
            raise NotComparable(
                f"the file has its own weights, and the claim brings another model ({differing[0]} differs)"
            )
        return Model(self.path)


class Model:
    """`logits` and `generate` of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Next-token logits, float32. Shapes: tokens (B, T) -> (B, T, V).

        Raises: ValueError with llama.cpp's own words if it does not load the file or does not survive it.
        """
        answer = ask(self.path, Request(tokens=tokens.tolist()))
        if not answer.ok:
            raise ValueError(f"llama.cpp: {answer.refusal}")
        return np.stack(answer.logits)

    def generate(self, tokens: np.ndarray, max_new_tokens: int, *, stop: Sequence[int] = ()) -> np.ndarray:
        """Greedy ids (1, n), up to llama.cpp's own end of generation. Shapes: tokens (1, T)."""
        answer = ask(self.path, Request(prompts=tokens[:1].tolist(), new_tokens=max_new_tokens))
        if not answer.ok:
            raise ValueError(f"llama.cpp: {answer.refusal}")
        ids = list(answer.generated[0])
        ends = [i for i, token in enumerate(ids) if token in stop]
        return np.array([ids[: ends[0] + 1] if ends else ids], np.int64)
