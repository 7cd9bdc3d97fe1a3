"""Load the implementation under test from its `--candidate` spec."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from harness.contract.names.packages import HARNESS
from harness.contract.problem import nearest
from harness.errors import UserError
from harness.subject import binding

EXTRAS = {"hf": "hf", "gguf": "interop"}
OPENED = {"hf": "huggingface", "gguf": "llama_cpp"}
"""Scheme -> the package of `candidates` whose `open(path)` loads the candidate from the path after the colon."""
PROGRAM = "exec"
"""The scheme of an external program; the text after the colon is a command line, not a path."""
READERS = {**OPENED, PROGRAM: "process"}
BASELINE = "baseline"
"""This spec makes each claim's own baseline the candidate, so that mutants can be checked without user code."""
HOWTO = "expected `torch`, path/to/file.py[:NAME], package.module:NAME, hf:DIR, gguf:FILE or exec:COMMAND"


def load(spec: str, folder: str | Path = ".") -> Any:
    """Load the candidate: a module, or an object that offers ops, `load` or `train`.

    NAME may be one of:
    - an object: it is the candidate;
    - a class: it is called without arguments, and the instance is the candidate;
    - a builder, that is a function that needs no argument and has no `*args`: its result is the candidate;
    - any other function: the candidate offers it as the op of the same name, since every op needs an array.
    Raises: UserError for a spec in none of these forms; whatever the candidate raises on import or in its builder.
    """
    if spec == BASELINE:
        return None
    scheme, _, rest = spec.partition(":")
    if scheme == PROGRAM:
        return import_module(f"harness.candidates.{READERS[PROGRAM]}").open(rest, folder)
    if scheme in OPENED:
        return reader(spec, scheme).open(str(existing(spec, Path(folder) / rest)))
    if ":" not in spec and not spec.endswith(".py"):
        return _built_in(spec)
    if spec.endswith(".py"):
        return binding.module(spec, folder)
    found = binding.attribute(spec, folder)
    if inspect.isclass(found):
        return found()
    if not inspect.isfunction(found) and not inspect.isbuiltin(found):
        return found
    if _needs_nothing(found):
        return _built(spec, found)
    owner = inspect.getmodule(found)
    return SimpleNamespace(**{found.__name__: found, "ARRAYS": getattr(owner, "ARRAYS", "numpy")})


def _needs_nothing(function: Callable[..., Any]) -> bool:
    """Whether a function is a builder. A function that takes `*args` is not: it may be an op wrapped by a decorator."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return all(p.default is not p.empty or p.kind is p.VAR_KEYWORD for p in parameters)


def _built(spec: str, builder: Callable[..., Any]) -> Any:
    made = builder()
    if made is None or isinstance(made, (bool, int, float, str, bytes, list, tuple, dict)):
        raise UserError(
            f"--candidate {spec}: the builder returned {type(made).__name__}, expected an object that offers ops or "
            "`load`; a function that takes an op's arguments is that op"
        )
    return made


def own_weights(spec: str) -> str | None:
    """The folder of the weights that a candidate brings and is judged on: DIR of `hf:DIR`; None for every other."""
    return spec.removeprefix("hf:") if spec.startswith("hf:") else None


def is_program(spec: str) -> bool:
    """Whether the candidate is an external program, `exec:COMMAND`."""
    return spec.startswith(PROGRAM + ":")


def may_isolate(spec: str) -> bool:
    """Whether `--isolate` gives the candidate a process of its own: a program has one, the baseline is trusted."""
    return spec != BASELINE and not is_program(spec)


def opened(spec: str, folder: Path) -> Path | None:
    """The folder or file that a candidate `hf:DIR` or `gguf:FILE` is opened from; None for every other."""
    scheme, _, rest = spec.partition(":")
    return folder / rest if scheme in OPENED else None


def reader(spec: str, scheme: str) -> ModuleType:
    """The package that opens candidates of a scheme.

    Raises: UserError if a dependency of that package is not installed.
    """
    try:
        return import_module(f"harness.candidates.{OPENED[scheme]}")
    except ModuleNotFoundError as missing:
        raise UserError(
            f"--candidate {spec}: needs {missing.name}, which is not installed; pip install 'harness[{EXTRAS[scheme]}]'"
        ) from None


def existing(spec: str, path: Path) -> Path:
    """Return the path.

    Raises: UserError if the path does not exist.
    """
    if not path.exists():
        raise UserError(f"--candidate {spec}: {path} not found; {HOWTO}")
    return path


def _built_in(name: str) -> ModuleType:
    check_built_in(name)
    return import_module(f"harness.candidates.{name}")


def built_in() -> list[str]:
    """The names of the built-in candidates: packages of harness/candidates that need no file, folder or command."""
    packages = {init.parent.name for init in (HARNESS / "candidates").glob("[a-z]*/__init__.py")}
    return sorted(packages - set(READERS.values()))


def check_built_in(name: str) -> None:
    """Check that a built-in candidate has this name.

    Raises: UserError if none has.
    """
    if name not in built_in():
        hint = nearest(name, built_in()) or f"; {HOWTO}"
        raise UserError(f"--candidate {name}: found no such built-in candidate ({', '.join(built_in())}){hint}")
