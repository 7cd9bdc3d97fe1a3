"""The texts that a model was trained on and those held out, as its folder lists them."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from harness.errors import UserError


class NoHeldOutText(Exception):
    """The model's held-out text is unknown, so its loss proves nothing: the claim is UNVERIFIED."""

    unsupported = True


@lru_cache(maxsize=2)
def documents(folder: str, corpus: str) -> tuple[dict[str, str], dict[str, str]]:
    """(training, held-out) texts by file name, if the folder's recipe.json lists the split's held-out files.

    Raises: NoHeldOutText if it lists none or others; UserError if a file cannot be read.
    """
    module, _, name = corpus.partition(":")
    split = getattr(import_module(module), name)()
    path = Path(folder) / "recipe.json"
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))["held_out_files"]
    except (OSError, ValueError, KeyError):
        raise NoHeldOutText(f"{path}: no held_out_files, so the model's held-out text is unknown") from None
    if list(recorded) != list(split.held_out):
        raise NoHeldOutText(
            f"{path}: held_out_files lists {len(recorded)} files that differ from the {len(split.held_out)} of {corpus}"
        )
    return _texts(split.root, split.train), _texts(split.root, split.held_out)


def tokenizer_of(folder: str) -> str:
    """Path of the folder's tokenizer.json. Raises: NoHeldOutText if there is none."""
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        raise NoHeldOutText(f"{path}: file not found, so no text can be encoded for this model")
    return str(path)


def _texts(root: Path, names: tuple[str, ...]) -> dict[str, str]:
    try:
        return {name: (root / name).read_text(encoding="utf-8") for name in names}
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{root}: a file of the corpus cannot be read ({problem}); expected UTF-8 text") from None
