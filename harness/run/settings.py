"""Read a project's default options from `harness.toml`, or from `[tool.harness]` in pyproject.toml.

An option on the command line wins; otherwise the nearest of these files at or above the contracts counts.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.contract.location import BUILT_IN, located
from harness.contract.names.reference import short
from harness.contract.problem import nearest
from harness.errors import UserError

OWN, SHARED = "harness.toml", "pyproject.toml"
KEYS = ("candidate", "weights")


def find(paths: Iterable[str | Path]) -> dict[str, str]:
    """The settings for some contracts; paths in them are made relative to the working directory.

    Built-in contracts lie outside the project, so their settings come from the working directory.
    Raises: UserError for a file that cannot be read, an unknown key, or two files for one run.
    """
    starts = [Path.cwd() if str(path).startswith(BUILT_IN) else located(path).resolve() for path in paths]
    files = dict.fromkeys(file for start in starts if (file := _above(start)) is not None)
    if len(files) > 1:
        names = " and ".join(short(file) for file in files)
        raise UserError(f"found settings in {names}, expected one for a run; give one path at a time, or --candidate")
    for file in files:
        return {key: relative(value, file.parent) for key, value in _read(file).items()}
    return {}


def relative(spec: str, folder: Path) -> str:
    """Rewrite a candidate or folder from a settings file in `folder` as one relative to the working directory."""
    scheme, colon, rest = spec.partition(":")
    if colon and scheme in ("hf", "gguf"):
        return f"{scheme}:{seen(rest, folder)}"
    if scheme.endswith(".py"):
        return seen(scheme, folder) + colon + rest
    return seen(spec, folder) if not colon and (folder / spec).is_dir() else spec


def seen(path: str, folder: Path) -> str:
    """Rewrite a path relative to `folder` as one relative to the working directory; absolute paths stay."""
    return path if Path(path).is_absolute() else Path(os.path.relpath(folder / path)).as_posix()


def _above(start: Path) -> Path | None:
    """The nearest settings file at or above `start`; the search stops at the root of a repository."""
    for folder in [start, *start.parents] if start.is_dir() else start.parents:
        if (folder / OWN).is_file():
            return folder / OWN
        if (folder / SHARED).is_file() and b"[tool.harness]" in (folder / SHARED).read_bytes():
            return folder / SHARED
        if (folder / ".git").exists():
            return None
    return None


def _read(file: Path) -> dict[str, str]:
    try:
        found: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as problem:
        raise UserError(f"{short(file)}: cannot be read as TOML ({problem}); mend it first") from None
    entries = found if file.name == OWN else found.get("tool", {}).get("harness", {})
    for key, value in entries.items():
        if key not in KEYS:
            raise UserError(f"{short(file)}: unknown key {key!r}{nearest(key, KEYS)} (known: {', '.join(KEYS)})")
        if not isinstance(value, str) or not value:
            raise UserError(f'{short(file)}: {key}: found {value!r}, expected text such as {key} = "kernel.py"')
    return dict(entries)
