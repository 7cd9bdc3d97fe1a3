"""The boundary between the harness and an implementation: only arrays and plain values cross it.

A falsifier calls ``subject.rmsnorm(x, w, eps)``; the boundary copies the arrays,
passes them in the form that the implementation takes (NumPy, or torch tensors on the
run's device), and converts the result to NumPy. It also records what the implicit
limits check: edited inputs, results overwritten later, wrong dtypes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from harness.dtypes import FORMATS, AsStored, round_mantissa, round_to
from harness.platforms import HOST
from harness.subject import other_process, turns
from harness.subject.arrays import plain, same_bytes
from harness.subject.device import platform, register
from harness.subject.layout import CONTIGUOUS, laid_out
from harness.subject.poison import poisoned, remember
from harness.subject.trace import Trace
from harness.subject.traffic import Traffic


class Unsupported(Exception):
    """The subject lacks what the claim needs; the claim is UNVERIFIED with this reason."""


class Boundary:
    """The object that a falsifier receives as `subject`; it wraps the implementation.

    ``role`` names the subject in messages ("candidate", "baseline", "mutant eps_x10");
    ``lower`` rounds every floating input and output to the format's lower precision
    (the free mutant `lower_precision`). ``layout`` is how the arrays that it passes lie in memory.
    Raises: Unsupported if the implementation lacks a name or does not take an argument.
    """

    def __init__(
        self,
        target: Any,
        *,
        role: str,
        dtype: str,
        device: str,
        trace: Trace,
        arrays: str | None = None,
        lower: bool = False,
        layout: str = CONTIGUOUS,
    ) -> None:
        self._target = target
        self._role = role
        self._dtype = dtype
        self._device = device
        self._trace = trace
        self._arrays = arrays or getattr(target, "ARRAYS", "numpy")
        self._lower = lower
        self._layout = layout

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            value = getattr(self._target, name)
        except AttributeError:
            raise Unsupported(f"{self._role} has no `{name}`") from None
        if not callable(value) or isinstance(value, ModuleType):
            return self._receive(value, name)
        return lambda *args, **kwargs: self._call(name, value, args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not callable(self._target):
            raise Unsupported(f"{self._role} is not callable")
        return self._call(getattr(self._target, "__name__", "call"), self._target, args, kwargs)

    def offers(self, name: str) -> bool:
        """Whether the subject has `name`."""
        return hasattr(self._target, name)

    @property
    def traffic(self) -> Traffic:
        """What the calls from now on move between host and device; the same object at each use.

        Raises: Unsupported if there is no device beside the host, or the subject's arrays are NumPy, which live there.
        """
        if platform(self._device) == HOST:
            raise Unsupported(f"device {self._device} is the host itself; the claim needs `device: accelerator`")
        if self._arrays != "torch":
            raise Unsupported(f'{self._role} takes NumPy arrays; traffic is counted for ARRAYS = "torch"')
        self._trace.traffic = self._trace.traffic or Traffic()
        return self._trace.traffic

    def in_other_process(
        self,
        name: str,
        *args: Any,
        environment: dict[str, str] | None = None,
        threads: int = 1,
        deterministic: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, dict[str, float]]:
        """Call one of the subject's functions in a fresh interpreter; returns its result and the settings it ran under.

        Units: `environment` is added to this process's environment; `deterministic` makes torch raise an error in an
            operation that has no deterministic algorithm.
        """
        function = getattr(self._target, name, None)
        if function is None:
            raise Unsupported(f"{self._role} has no `{name}`")
        _check_signature(self._role, name, function, args, {**self._context(function), **kwargs})
        form = {"role": self._role, "dtype": self._dtype, "device": self._device, "arrays": self._arrays}
        call = partial(_through_a_boundary, name, function, args, kwargs, {**form, "lower": self._lower})
        request = other_process.Request(call, threads, deterministic)
        return other_process.ask(request, environment or {})

    def together(self, *calls: Callable[[], Any]) -> tuple[list[Any], int]:
        """Make one or two calls of the subject, each in a thread and a stream of its own; two take turns.

        Returns their results, and how many steps each of two took while the other was running (the lesser number).
        """
        return turns.together(calls, self._device, str(self._arrays))

    def _call(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        kwargs = {**self._context(function), **kwargs}  # a device that the falsifier passes explicitly wins
        _check_signature(self._role, name, function, args, kwargs)
        sent: list[tuple[str, Any, np.ndarray]] = []
        own = [self._send(a, f"argument {i + 1}", sent) for i, a in enumerate(args)]
        named = {key: self._send(a, key, sent) for key, a in kwargs.items()}
        with poisoned(), self._trace.watch(name, self._arrays):
            out = function(*own, **named)
        self._trace.inputs_changed += [
            f"`{name}` changed {label}" for label, raw, original in sent if not same_bytes(plain(raw), original)
        ]
        return self._receive(out, name)

    def _context(self, function: Callable[..., Any]) -> dict[str, Any]:
        """The run's dtype and device, each only if the function has a parameter of that name."""
        try:
            names = inspect.signature(function).parameters
        except (TypeError, ValueError):
            return {}
        return {k: v for k, v in {"dtype": self._dtype, "device": self._device}.items() if k in names}

    def _send(self, value: Any, label: str, sent: list[tuple[str, Any, np.ndarray]]) -> Any:
        if isinstance(value, Boundary):
            return value._target
        if isinstance(value, np.ndarray):
            array = self._soften(value)
            raw = self._to_torch(array) if self._arrays == "torch" else array.copy()
            raw = laid_out(raw, self._layout)
            sent.append((label, raw, plain(raw).copy()))
            return raw
        if isinstance(value, dict):
            return {key: self._send(item, f"{label}[{key!r}]", sent) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._send(item, f"{label}[{i}]", sent) for i, item in enumerate(value))
        return value

    def _receive(self, value: Any, label: str) -> Any:
        if value is None or isinstance(value, (bool, int, float, str, bytes)):
            return value
        if isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "detach"):
            self._check_dtype(value, label)
            delivered = plain(value)
            if delivered.ndim:
                self._trace.keep(label, value, delivered)
                remember(delivered.nbytes)
            return self._soften(round_to(delivered, self._dtype) if _is_carried(value) else delivered.copy())
        if isinstance(value, dict):
            return {key: self._receive(item, f"{label}[{key!r}]") for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            items = [self._receive(item, f"{label}[{i}]") for i, item in enumerate(value)]
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        return Boundary(
            value,
            role=self._role,
            dtype=self._dtype,
            device=self._device,
            trace=self._trace,
            arrays=getattr(value, "ARRAYS", self._arrays),
            lower=self._lower,
            layout=self._layout,
        )

    def _soften(self, array: np.ndarray) -> np.ndarray:
        if not self._lower or array.dtype.kind != "f":
            return array
        with np.errstate(over="ignore"):
            return round_mantissa(array, FORMATS[self._dtype].lower_mantissa).astype(array.dtype)

    def _to_torch(self, array: np.ndarray) -> Any:
        import torch

        tensor = torch.from_numpy(np.array(array, copy=True))
        carried = array.dtype == FORMATS[self._dtype].carrier and not isinstance(array, AsStored)
        if array.dtype.kind == "f" and carried:
            tensor = tensor.to(getattr(torch, self._dtype))
        if tensor.dtype == torch.float64 and platform(self._device) == "mps":
            raise Unsupported(f"{self._role}: torch has no float64 on mps")
        return tensor.to(self._device)

    def _check_dtype(self, value: Any, label: str) -> None:
        found = str(value.dtype).removeprefix("torch.")
        if not found.startswith(("float", "bfloat")):
            return
        expected = {self._dtype}
        if self._dtype == "bfloat16":
            expected.add("float32" if self._arrays == "numpy" else "bfloat16")
        if found not in expected:
            self._trace.dtypes_wrong.append(f"`{label}` returned {found}, expected {self._dtype}")


def _through_a_boundary(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], form: dict[str, Any]
) -> Any:
    """Call `function` in this process through a new boundary with the settings `form`; returns its result as NumPy."""
    register(form["device"])
    target = SimpleNamespace(**{name: function})
    return getattr(Boundary(target, trace=Trace(), **form), name)(*args, **kwargs)


def _is_carried(value: Any) -> bool:
    return str(value.dtype).removeprefix("torch.") in ("float32", "bfloat16")


def _check_signature(
    role: str, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    taken = signature.parameters
    if not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        for key in kwargs:
            if key not in taken:
                raise Unsupported(f"{role}'s `{name}{signature}` does not take `{key}`, which the claim passes")
    try:
        signature.bind(*args, **kwargs)
    except TypeError as problem:
        raise Unsupported(
            f"{role}'s `{name}{signature}` cannot be called with {len(args)} positional arguments "
            f"and {sorted(kwargs) or 'no keywords'}: {problem}"
        ) from None
