"""What a wrong version is: one function that is right or wrong by its first argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

Call = Callable[[Any, np.random.Generator], Any]
"""A call of a subject on drawn inputs; it returns an array or a sequence of arrays."""


@dataclass(frozen=True)
class Version:
    """One implementation with a bug that `wrong` turns on. `rare` names the kind of trigger; "" is an ordinary bug.

    `function(wrong, *arguments)` is the op. With `remembers` it is `function(wrong, memory, *arguments)`, whose dict
    `memory` lasts from call to call. With `falsifiers` it is `function(wrong)` and returns a whole subject, for the
    claims whose falsifier begins with one of those names; all other versions meet the claims on their op.
    """

    function: Callable[..., Any]
    op: str
    trigger: Call
    source: str
    rare: str = ""
    remembers: bool = False
    falsifiers: tuple[str, ...] = ()
    arrays: str = "numpy"

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def kind(self) -> str:
        return "rare" if self.rare else "ordinary"

    @property
    def family(self) -> str:
        """The module that declares it."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def does(self) -> str:
        """The first line of its docstring: what is wrong."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    def subject(self, wrong: bool) -> Any:
        """The wrong version, or its right twin: the same code with the bug turned off."""
        if self.falsifiers:
            return self.function(wrong)
        call = partial(self.function, wrong, {}) if self.remembers else partial(self.function, wrong)
        return SimpleNamespace(ARRAYS=self.arrays, **{self.op: call})


def normal(stream: np.random.Generator, *shape: int, dtype: type = np.float32) -> np.ndarray:
    return stream.standard_normal(shape).astype(dtype)


class Numpy:
    """A subject that is called with NumPy arrays, whatever it takes; strides are kept."""

    def __init__(self, subject: Any) -> None:
        self.subject = subject

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.subject, name)
        if getattr(self.subject, "ARRAYS", "numpy") != "torch":
            return function
        return lambda *args, **options: function(*map(_tensor, args), **{k: _tensor(v) for k, v in options.items()})


def _tensor(value: Any) -> Any:
    import torch

    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def flat(answer: Any) -> list[np.ndarray]:
    """The arrays of an answer, in order; torch tensors as NumPy."""
    if isinstance(answer, dict):
        answer = [answer[key] for key in sorted(answer)]
    if isinstance(answer, (list, tuple)):
        return [array for item in answer for array in flat(item)]
    if hasattr(answer, "detach"):
        answer = answer.detach()
        answer = (answer.float() if answer.is_floating_point() and answer.element_size() == 2 else answer).numpy()
    return [np.asarray(answer)]
