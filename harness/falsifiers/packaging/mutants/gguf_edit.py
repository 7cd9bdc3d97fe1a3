"""How a wrong GGUF file comes about: a good one, written again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.falsifiers.baselines.gguf.rewrite import Keys, Tensors, rewrite
from harness.mutant import Inapplicable, replace

Edit = Callable[[Keys, Tensors], None]


def edited_file(baseline: Any, edit: Edit) -> Any:
    """The baseline whose exported files are rewritten by `edit`."""

    def export_gguf(folder: str, path: str, kind: str, *, tokenizer: bool = True) -> None:
        baseline.export_gguf(folder, path, kind, tokenizer=tokenizer)
        rewrite(path, edit)

    return replace(baseline, export_gguf=export_gguf)


def key_of(keys: Keys, name: str) -> str:
    """A key of the file's architecture."""
    return f"{keys['general.architecture']}.{name}"


def need_tokenizer(keys: Keys) -> None:
    """Raises: Inapplicable for a file without a tokenizer."""
    if "tokenizer.ggml.tokens" not in keys:
        raise Inapplicable("a file without a tokenizer")
