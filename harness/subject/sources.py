"""Find the files in a Python file's own folder that it imports, directly or through each other; digest files."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path


def with_siblings(path: Path) -> list[Path]:
    """The file, and every module or package of its own folder that it imports by name, directly or through another.

    A package counts with all its Python files. Files that are imported by other means, or only read, are not found.
    """
    found, names, waiting = {path}, set[str](), [path]
    while waiting:
        for name in _imported(waiting.pop()):
            if name not in names:  # a package of hundreds of files names itself thousands of times
                names.add(name)
                fresh = set(_files(path.parent, name)) - found
                found |= fresh
                waiting += fresh
    return sorted(found)


def files_digest(files: Sequence[Path], folder: Path) -> str:
    """SHA-256 of a single file's bytes; for several files, SHA-256 over their names from `folder` and their digests."""
    if len(files) == 1:
        return file_digest(files[0])
    total = hashlib.sha256()
    for path in files:
        name = path.relative_to(folder) if path.is_relative_to(folder) else path
        total.update(f"{name.as_posix()}\0{file_digest(path)}\n".encode())
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _files(folder: Path, name: str) -> list[Path]:
    module, package = folder / f"{name}.py", folder / name
    if package.is_dir():
        return sorted(package.rglob("*.py"))
    return [module] if module.is_file() else []


def _imported(path: Path) -> Iterator[str]:
    """Top-level names that a file imports; none if the file does not parse, since importing it reports that better."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]
