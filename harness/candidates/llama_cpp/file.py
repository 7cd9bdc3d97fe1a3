"""A GGUF file as a candidate, run by llama.cpp without flash attention and with F32 keys and values."""

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
"""general.file_type -> name, for the types that the reference implements; llama.cpp loads others too."""
FIGURES = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")


class NotComparable(Exception):
    """The claim needs a model, type or dtype that this file or llama.cpp lacks: UNVERIFIED, never FALSIFIED."""

    unsupported = True


def open(path: str) -> File:
    """The candidate for a GGUF file.

    Raises: UserError with one line if the file is damaged or not GGUF.
    """
    try:
        header = gguf_header.read(path)
    except Malformed as problem:
        raise UserError(f"--candidate gguf:{problem}") from None
    return File(Path(path), header)


class File:
    """A model file: claims about files read its bytes, claims about models run llama.cpp."""

    def __init__(self, path: Path, header: GgufHeader) -> None:
        self.path = path
        self.header = header

    def identity(self) -> str:
        """The version of the package that runs the file, and its llama.cpp build."""
        return build()

    def own_kind(self) -> str:
        """The file's type. Raises: NotComparable for a type that the reference does not implement."""
        found = self.header.keys.get("general.file_type")
        if found not in KINDS:
            raise NotComparable(
                f"general.file_type is {found!r}, but the reference implements only {', '.join(KINDS.values())}"
            )
        return KINDS[found]

    def export_gguf(self, folder: str, path: str, kind: str, *, tokenizer: bool = True) -> None:
        """Copy the file as the export of `folder`. Raises: NotComparable for another type, or without a tokenizer."""
        if kind != self.own_kind() or not tokenizer:
            raise NotComparable(
                f"the file is one {self.own_kind()} export, but the claim needs {kind}, tokenizer {tokenizer}"
            )
        shutil.copyfile(self.path, path)

    def detokenize(self, ids: Sequence[int], folder: str) -> str:
        """Decode ids with llama.cpp and the file's own tokenizer, not the folder's; special tokens are spelled out."""
        answer = ask(self.path, Request(lists=[list(ids)]))
        if not answer.ok:
            raise ValueError(f"llama.cpp: {answer.refusal}")
        return answer.pieces[0]

    def load(self, config: Mapping[str, Any], weights: Mapping[str, Any], *, dtype: str, device: str) -> Model:
        """The file's model. Does not load `weights`, which the falsifier passes to the reference.

        Raises: NotComparable if the config is not the file's, or dtype is not float32.
        """
        if dtype != "float32":
            raise NotComparable(f"llama.cpp computes in float32, but the claim needs {dtype}")
        own = read_config(self.path, self.header)
        differing = [key for key in FIGURES if config.get(key) != own.get(key)]
        if differing:
            raise NotComparable(
                f"the file has its own weights, but the claim is about another model ({differing[0]} differs)"
            )
        return Model(self.path)


class Model:
    """`logits` and `generate` of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """Next-token logits, float32. Shapes: tokens (B, T) -> (B, T, V).

        Raises: ValueError with llama.cpp's message if it does not load the file, or crashes.
        """
        answer = ask(self.path, Request(tokens=tokens.tolist()))
        if not answer.ok:
            raise ValueError(f"llama.cpp: {answer.refusal}")
        return np.stack(answer.logits)

    def generate(self, tokens: np.ndarray, max_new_tokens: int, *, stop: Sequence[int] = ()) -> np.ndarray:
        """Greedy ids (1, n), up to a token of `stop` or llama.cpp's own end token. Shapes: tokens (1, T)."""
        answer = ask(self.path, Request(prompts=tokens[:1].tolist(), new_tokens=max_new_tokens))
        if not answer.ok:
            raise ValueError(f"llama.cpp: {answer.refusal}")
        ids = list(answer.generated[0])
        ends = [i for i, token in enumerate(ids) if token in stop]
        return np.array([ids[: ends[0] + 1] if ends else ids], np.int64)
