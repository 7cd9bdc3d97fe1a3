"""From the paths of a command line to the contract files below them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.contract.names.packages import ON_REQUEST, shipped_contracts
from harness.contract.names.reference import short
from harness.contract.problem import Problem, listed, nearest
from harness.contract.ship import NAME

BUILT_IN = "builtin:"
HERE = "contracts"
"""The folder in which a project keeps its contracts, where a claim is looked for first."""
_SUFFIXES = (".yaml", ".yml")


def located(path: str | Path) -> Path:
    """The path on disk; `builtin:NAME` means the folder NAME of the contracts that Harness ships."""
    text = str(path)
    if not text.startswith(BUILT_IN):
        return Path(path)
    name = text.removeprefix(BUILT_IN)
    return ON_REQUEST / name if name and (ON_REQUEST / name).exists() else shipped_contracts() / name


def contract_files(paths: Iterable[str | Path]) -> tuple[list[Path], list[Problem]]:
    """Every contract file below `paths`, each once and sorted by name, and a problem for each path that has none."""
    files: dict[Path, Path] = {}
    problems: list[Problem] = []
    for path in paths:
        place = located(path)
        if place.is_file():
            found = [place] if place.name != NAME else []
        elif place.is_dir():
            found = list(contracts_below(place))
            if not found:
                problems.append(Problem(str(path), 1, 1, "error", "no contract in this folder; expected *.yaml files"))
        else:
            found = []
            problems.append(Problem(str(path), 1, 1, "error", f"no such file or folder{_beside(path, place)}"))
        for file in found:
            files.setdefault(file.resolve(), Path(short(file)) if place.is_absolute() else file)
    return sorted(files.values()), problems


def contracts_below(folder: Path) -> Iterator[Path]:
    """The YAML files of a folder and its subfolders, without ship.yaml, hidden files and the evidence of runs."""
    for root, folders, names in os.walk(folder):
        if "run.json" in names and "claims" in folders:
            folders[:] = []
            continue
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            if name.endswith(_SUFFIXES) and name != NAME and not name.startswith("."):
                yield Path(root) / name


def _beside(written: str | Path, place: Path) -> str:
    """The end of the message: the nearest name in the first folder above the path that exists."""
    missing = place
    while not missing.parent.is_dir():
        missing = missing.parent
    names = sorted(
        each.name
        for each in missing.parent.iterdir()
        if each.is_dir() or (each.suffix in _SUFFIXES and each.name != NAME)
    )
    if str(written).startswith(BUILT_IN):
        names = sorted([*names, *(each.name for each in ON_REQUEST.iterdir() if missing.parent == shipped_contracts())])
        return f"{nearest(missing.name, names)} (built in: {listed(BUILT_IN + name for name in names)})"
    return f": {short(missing.parent)} has no {missing.name!r}{nearest(missing.name, names)}"
