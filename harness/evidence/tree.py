"""The files that a sealed run may hold: regular ones, each in its place. Nothing is followed and nothing is opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

SIGNATURE, BUNDLE = "signature.json", "signature.sigstore.json"
RUN = frozenset({"run.json", "manifest.json", "ship.yaml", SIGNATURE, BUNDLE})
CLAIM = frozenset(
    {
        "claim.yaml",
        "digest.json",
        "result.json",
        "README.md",
        "log.txt",
        "stages.json",
        "counterexample.json",
        "counterexample.safetensors",
    }
)
CLAIMS, CONTRACTS = "claims", "contracts"
KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISCHR, "a character device"),
)
MOST = 50
"""Faults that are listed; a folder of a million strange files is told in one line more."""


def faults(run: Path) -> list[str]:
    """Every entry that is no regular file of a run in its place, one line each."""
    found: list[str] = []
    for fault in _strange(run, ()):
        found.append(fault)
        if len(found) > MOST:
            return [*found[:MOST], f"{run}: more than {MOST} entries that no run has"]
    return found


def regular(folder: Path) -> dict[str, Path]:
    """Relative POSIX name -> path of every regular file below a folder; links and devices are left out."""
    found: dict[str, Path] = {}
    todo = [folder]
    while todo:
        place = todo.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    found[Path(entry.path).relative_to(folder).as_posix()] = Path(entry.path)
    return dict(sorted(found.items()))


def _strange(folder: Path, inside: tuple[str, ...]) -> Iterator[str]:
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    if not entries and inside and inside != (CLAIMS,):
        yield f"{folder}: an empty folder, which no run has"
    for entry in entries:
        path, mode = Path(entry.path), entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            if _folder(inside, entry.name):
                yield from _strange(path, (*inside, entry.name))
            else:
                yield f"{path}: a folder that no run has"
        elif not stat.S_ISREG(mode):
            kind = next((name for test, name in KINDS if test(mode)), "no regular file")
            yield f"{path}: {kind}, expected a regular file; evidence holds nothing else"
        elif not _file(inside, entry.name):
            yield f"{path}: a file that no run has"


def _folder(inside: tuple[str, ...], name: str) -> bool:
    return (not inside and name in (CLAIMS, CONTRACTS)) or inside == (CLAIMS,)


def _file(inside: tuple[str, ...], name: str) -> bool:
    if inside == (CONTRACTS,):
        return name.endswith(".json")
    if not inside:
        return name in RUN
    return len(inside) == 2 and name in CLAIM
