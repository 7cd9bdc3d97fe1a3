"""Windows of token ids from a corpus's files; no window crosses the end of a file."""

from __future__ import annotations

import numpy as np

from harness.errors import UserError
from harness.falsifiers.baselines import corpora
from harness.falsifiers.inputs.documents import documents, tokenizer_of

FILES = 24
"""Number of training files to read, evenly spaced; encoding all files takes seconds, and a few batches need few."""


def training_windows(folder: str, corpus: str, rows: int, length: int) -> np.ndarray:
    """`rows` windows, evenly spaced over `FILES` training files. Shapes: (rows, length), int64.

    Raises: UserError if the files are too short; NoHeldOutText (UNVERIFIED) if the held-out text is unknown.
    """
    texts = list(documents(folder, corpus)[0].values())
    chosen = np.unique(np.linspace(0, len(texts) - 1, FILES).astype(int))
    encoded = corpora.encode(tokenizer_of(folder), tuple(texts[i] for i in chosen))
    found = np.concatenate([_cut(ids, length) for ids in encoded])
    if len(found) < rows:
        raise UserError(
            f"rows: found {rows}, but {len(chosen)} training files have {len(found)} windows of {length} tokens"
        )
    return found[np.linspace(0, len(found) - 1, rows).astype(int)]


def held_out_windows(folder: str, corpus: str, per_document: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `per_document` windows of every held-out file that has one, and the index of each window's file.

    Shapes: windows (n, length), documents (n,), both int64.
    """
    texts = documents(folder, corpus)[1].values()
    cut = [_cut(ids, length)[:per_document] for ids in corpora.encode(tokenizer_of(folder), tuple(texts))]
    cut = [part for part in cut if len(part)]
    return np.concatenate(cut), np.repeat(np.arange(len(cut)), [len(part) for part in cut])


def _cut(ids: np.ndarray, length: int) -> np.ndarray:
    return ids[: ids.size // length * length].reshape(-1, length).astype(np.int64)
