"""What `--candidate` means: the implementation under test and its identity."""

from __future__ import annotations

import hashlib
import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from harness import binding, checkpoint
from harness.contract.problem import nearest
from harness.errors import UserError

OPENED = {"hf": "huggingface", "gguf": "llama_cpp"}
"""Scheme -> the package of `candidates` whose `open(path)` makes the candidate of what stands behind the colon."""
LATER = {"exec": "an external program"}
BASELINE = "baseline"
"""Each claim's own baseline as its candidate: shows what the mutants do without anybody's code."""
HOWTO = "expected `torch`, path/to/file.py[:NAME], package.module:NAME, hf:DIR or gguf:FILE"


def load(spec: str, folder: str | Path = ".") -> Any:
    """The candidate: a module, or an object that offers ops, `load` or `train`.

    NAME may be an object, a class (made without arguments) or one op's function.
    Raises: UserError for a spec that means nothing; whatever the candidate raises on import.
    """
    if spec == BASELINE:
        return None
    scheme, _, rest = spec.partition(":")
    if scheme in OPENED and not spec.endswith(".py"):
        return import_module(f"candidates.{OPENED[scheme]}").open(str(_existing(spec, Path(folder) / rest)))
    if scheme in LATER and not spec.endswith(".py"):
        raise UserError(f"--candidate {spec}: {LATER[scheme]} cannot be run by this version; {HOWTO}")
    if ":" not in spec and not spec.endswith(".py"):
        return _built_in(spec)
    if spec.endswith(".py"):
        return binding.module(spec, folder)
    found = binding.attribute(spec, folder)
    if inspect.isclass(found):
        return found()
    if inspect.isfunction(found) or inspect.isbuiltin(found):
        owner = inspect.getmodule(found)
        return SimpleNamespace(**{found.__name__: found, "ARRAYS": getattr(owner, "ARRAYS", "numpy")})
    return found


def identity(spec: str, folder: str | Path = ".") -> dict[str, Any]:
    """Spec and SHA-256 of the source it comes from; evidence of another source is STALE."""
    if spec == BASELINE:
        return {"spec": spec, "sha256": None}
    where, _, rest = (spec, "", "") if spec.endswith(".py") else spec.partition(":")
    if where in OPENED:
        reader = source_digest(import_module(f"candidates.{OPENED[where]}"))
        path = _existing(spec, Path(folder) / rest)
        digest = file_digest(path) if path.is_file() else checkpoint.digest(path)
        return {"spec": spec, "sha256": digest, "reader": reader}
    if where.endswith(".py"):
        return {"spec": spec, "sha256": file_digest(Path(folder) / where)}
    if ":" not in spec:
        _offered(spec)
        return {"spec": spec, "sha256": source_digest(import_module("candidates"))}  # one builds on another
    return {"spec": spec, "sha256": source_digest(binding.module(where, folder))}


def _existing(spec: str, path: Path) -> Path:
    if not path.exists():
        raise UserError(f"--candidate {spec}: {path} not found; {HOWTO}")
    return path


def file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
    return import_module(f"candidates.{name}")


def _offered(name: str) -> None:
    """Raises: UserError unless this is a built-in candidate."""
    here = Path(__file__).resolve().parent.parent / "candidates"
    packages = [p.stem for p in here.iterdir() if not p.name.startswith("_") and (p / "__init__.py").is_file()]
    offered = sorted(set(packages) - set(OPENED.values()))
    if name not in offered:
        hint = nearest(name, offered) or f"; {HOWTO}"
        raise UserError(f"--candidate {name}: found no such built-in candidate ({', '.join(offered)}){hint}")
