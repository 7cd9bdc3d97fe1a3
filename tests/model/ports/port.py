"""A user's port with one mistake: transformers' file of a family with one text exchanged, or a number set later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL = '''"""A port of {family} with one mistake."""

import inspect
from importlib import import_module

import torch

from harness.candidates.huggingface import open as checkpoint
from harness.candidates.huggingface.decoder import Decoder
from harness.candidates.huggingface.float64 import in_float64

ARRAYS = "torch"
OLD, NEW = {old!r}, {new!r}
FIXED = {fixed!r}


def load(config, weights, *, dtype, device):
    config = with_constants(config)
    model = checkpoint({folder!r}).load(config, weights, dtype=dtype, device=device).model
    with in_float64(dtype == "float64"), torch.no_grad():
        if OLD:
            model = edited(model, getattr(torch, dtype))
        mistake(model)
    return Decoder(model.to(device).eval())


def edited(right, dtype):
    module = import_module(type(right).__module__)
    text = inspect.getsource(module)
    if OLD not in text:
        raise ValueError(f"{{module.__name__}} does not have {{OLD!r}}")
    port = {{"__name__": module.__name__, "__file__": module.__file__, "__package__": module.__package__}}
    exec(compile(text.replace(OLD, NEW), module.__file__, "exec"), port)
    own = port[type(right).__name__]._from_config(
        right.config, dtype=dtype, attn_implementation="eager", experts_implementation="eager"
    )
    own.load_state_dict(right.state_dict())
    return own


def with_constants(config):
    return {{
        key: with_constants(value) if isinstance(value, dict) else FIXED.get(key, value)
        for key, value in config.items()
    }}


def mistake(model):
    {then}
'''


@dataclass(frozen=True)
class Mistake:
    """One mistake, and where the verdict's first line says that it is."""

    folder: str
    """`family variant` of harness.models.families; the first variant if none is named."""
    named: str
    """The stage, or the beginning of the key's line."""
    old: str = ""
    """Text of transformers' file that is exchanged wherever it stands; empty if none is."""
    new: str = ""
    then: str = "pass"
    """A statement about `model`, once it is loaded."""
    fixed: tuple[str, ...] = ()
    """Keys of the config that are constants of the port, at the folder's own values."""

    @property
    def family(self) -> str:
        return self.folder.split(" ")[0]

    @property
    def variant(self) -> str:
        return self.folder.partition(" ")[2]

    def write(self, path: Path, checkpoint: Path) -> None:
        """The port of a checkpoint folder as a file."""
        known = dict(_leaves(json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))))
        fixed = {key: known[key] for key in self.fixed}
        names = {"family": self.family, "old": self.old, "new": self.new, "fixed": fixed, "then": self.then}
        path.write_text(MODEL.format(folder=str(checkpoint), **names), encoding="utf-8")


def _leaves(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield key, value
