"""What `--candidate` means: the implementation under test and its identity."""

from __future__ import annotations

import hashlib
import inspect
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from harness import checkpoint
from harness.contract.names.packages import HARNESS
from harness.contract.problem import nearest
from harness.errors import UserError
from harness.subject import binding
from harness.subject.sources import file_digest, files_digest, with_siblings

EXTRAS = {"hf": "hf", "gguf": "interop"}
OPENED = {"hf": "huggingface", "gguf": "llama_cpp"}
"""Scheme -> the package of `candidates` whose `open(path)` makes the candidate of what stands behind the colon."""
PROGRAM = "exec"
"""The scheme of an external program; what stands behind the colon is a command line, not a path."""
READERS = {**OPENED, PROGRAM: "process"}
BASELINE = "baseline"
"""Each claim's own baseline as its candidate: shows what the mutants do without anybody's code."""
HOWTO = "expected `torch`, path/to/file.py[:NAME], package.module:NAME, hf:DIR, gguf:FILE or exec:COMMAND"


def load(spec: str, folder: str | Path = ".") -> Any:
    """The candidate: a module, or an object that offers ops, `load` or `train`.

    NAME may be an object, which is the candidate; a class, which is made without arguments; a builder, which is
    a function that needs no argument and has no `*args`, and whose result is the candidate; or any other function,
    which is taken as the op of its name, since every op needs an array.
    Raises: UserError for a spec that means nothing; whatever the candidate raises on import or in its builder.
    """
    if spec == BASELINE:
        return None
    scheme, _, rest = spec.partition(":")
    if scheme == PROGRAM:
        return import_module(f"harness.candidates.{READERS[PROGRAM]}").open(rest, folder)
    if scheme in OPENED:
        return _reader(spec, scheme).open(str(_existing(spec, Path(folder) / rest)))
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
    """Whether a function is a builder. One that takes `*args` may be an op behind a decorator."""
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


def identity(spec: str, folder: str | Path = ".") -> dict[str, Any]:
    """Spec and SHA-256 of the source it comes from; evidence of another source is STALE.

    A Python file brings the files beside it that it imports; a command line those that its words name.
    """
    if spec == BASELINE:
        return {"spec": spec, "sha256": None}
    where, _, rest = (spec, "", "") if spec.endswith(".py") else spec.partition(":")
    if spec.startswith(f"{PROGRAM}:"):
        package = import_module(f"harness.candidates.{READERS[PROGRAM]}")
        found = _program_files(package.words(spec.removeprefix(f"{PROGRAM}:")), Path(folder))
        return {"spec": spec, "sha256": files_digest(found, Path(folder)), "reader": source_digest(package)}
    if where in OPENED:
        reader = source_digest(_reader(spec, where))
        path = _existing(spec, Path(folder) / rest)
        digest = file_digest(path) if path.is_file() else checkpoint.digest(path)
        return {"spec": spec, "sha256": digest, "reader": reader}
    if where.endswith(".py"):
        source = Path(folder) / where
        return {"spec": spec, "sha256": files_digest(with_siblings(source), source.parent)}
    if ":" not in spec:
        _offered(spec)
        return {"spec": spec, "sha256": source_digest(import_module("harness.candidates"))}  # one builds on another
    return {"spec": spec, "sha256": source_digest(binding.module(where, folder))}


def _program_files(words: list[str], folder: Path) -> list[Path]:
    """The files that the words name; if none does, the program that the first word means on PATH."""
    named = [folder / word for word in words if (folder / word).is_file()]
    if not named:
        named = [Path(found)] if (found := shutil.which(words[0])) else []
    return sorted({each for path in named for each in (with_siblings(path) if path.suffix == ".py" else [path])})


def _reader(spec: str, scheme: str) -> ModuleType:
    try:
        return import_module(f"harness.candidates.{OPENED[scheme]}")
    except ModuleNotFoundError as missing:
        raise UserError(
            f"--candidate {spec}: needs {missing.name}, which is not installed; pip install 'harness[{EXTRAS[scheme]}]'"
        ) from None


def _existing(spec: str, path: Path) -> Path:
    if not path.exists():
        raise UserError(f"--candidate {spec}: {path} not found; {HOWTO}")
    return path


def source_digest(loaded: ModuleType) -> str:
    """SHA-256 over a module's file, or over every Python file of a package."""
    origin = Path(loaded.__file__ or "")
    files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(origin.parent)}\0{file_digest(path)}\n".encode())
    return total.hexdigest()


def _built_in(name: str) -> ModuleType:
    _offered(name)
    return import_module(f"harness.candidates.{name}")


def _offered(name: str) -> None:
    """Raises: UserError unless this is a built-in candidate."""
    here = HARNESS / "candidates"
    packages = [p.stem for p in here.iterdir() if not p.name.startswith("_") and (p / "__init__.py").is_file()]
    offered = sorted(set(packages) - set(READERS.values()))
    if name not in offered:
        hint = nearest(name, offered) or f"; {HOWTO}"
        raise UserError(f"--candidate {name}: found no such built-in candidate ({', '.join(offered)}){hint}")
