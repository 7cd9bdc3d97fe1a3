"""One example of a claim: its seed, dtype, device, parameters, and the arrays built from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.dtypes import round_to

EXPANDED = "expanded"
"""The layout whose arrays are one slice, seen many times; `harness.subject.layout` passes it with stride 0."""


class Case:
    """One example, the same for the candidate, the baseline and every mutant.

    An array depends only on (seed, name, shape, distribution) and is rounded to the
    case's dtype. The case records arrays by name: a counterexample stores them, and a
    replayed case returns the stored ones.
    """

    def __init__(
        self,
        *,
        index: int = 0,
        seed: int = 0,
        dtype: str = "float32",
        device: str = "cpu",
        params: dict[str, Any] | None = None,
        layout: str = "contiguous",
        stored: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.index = index
        self.seed = seed
        self.dtype = dtype
        self.device = device
        self.params = dict(params or {})
        self.layout = layout
        self.arrays: dict[str, np.ndarray] = {}
        self._stored = stored or {}
        self._memo: dict[Any, Any] = {}
        self.rng = np.random.default_rng(seed)

    def begin(self) -> None:
        """Start the next subject: reset the stream `rng`; keep arrays and results of `once`."""
        self.rng = np.random.default_rng(self.seed)

    def array(self, name: str, values: np.ndarray | Callable[[], np.ndarray]) -> np.ndarray:
        """Round `values` to the case's dtype and record them as `name`; a stored array replaces `values`."""
        if name not in self.arrays:
            if name in self._stored:
                built = self._stored[name]
            else:
                built = round_to(np.asarray(values() if callable(values) else values), self.dtype)
            built = np.ascontiguousarray(self._alike(built))
            built.setflags(write=False)
            self.arrays[name] = built
        return self.arrays[name]

    def _alike(self, array: np.ndarray) -> np.ndarray:
        """In the layout `expanded`, every slice of the first axis is the first: only then can its stride be 0."""
        if self.layout != EXPANDED or array.ndim < 2:
            return array
        return np.broadcast_to(array[:1], array.shape)

    def normal(self, name: str, shape: tuple[int, ...], *, std: float = 1.0, mean: float = 0.0) -> np.ndarray:
        """Gaussian array `name`, in the case's dtype."""
        return self.array(name, lambda: mean + std * self.stream(name).standard_normal(shape))

    def uniform(self, name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Uniform array `name` on [low, high), in the case's dtype."""
        return self.array(name, lambda: self.stream(name).uniform(low, high, shape))

    def integers(self, name: str, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
        """Integer array `name` on [low, high), int64."""
        return self.array(name, lambda: self.stream(name).integers(low, high, shape))

    def stream(self, name: str) -> np.random.Generator:
        """The random stream of `name`, which does not depend on the order of calls."""
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16], "little"))

    def once(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `function` once per case and argument bytes, and reuse the result for all subjects.

        Use it for work that does not depend on the subject, such as the reference's answer.
        """
        digest = hashlib.blake2b(digest_size=16)
        _feed(digest, (args, kwargs))
        key = (function.__module__, function.__qualname__, digest.digest())
        if key not in self._memo:
            self._memo[key] = function(*args, **kwargs)
        return self._memo[key]


def _feed(digest: Any, value: Any) -> None:
    """Add a value's type, shape and bytes to a digest."""
    if isinstance(value, np.ndarray):
        digest.update(f"array{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).view(np.uint8).data if value.size else b"")
    elif isinstance(value, dict):
        digest.update(f"dict{len(value)}".encode())
        for key, item in value.items():
            digest.update(repr(key).encode())
            _feed(digest, item)
    elif isinstance(value, (list, tuple)):
        digest.update(f"{type(value).__name__}{len(value)}".encode())
        for item in value:
            _feed(digest, item)
    else:
        digest.update(repr(value).encode())
