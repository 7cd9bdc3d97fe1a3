"""The seal of a run: the SHA-256 of every file and of the manifest itself, in canonical JSON."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TypedDict

from harness.contract.claim import canonical
from harness.evidence import tree

NAME = "manifest.json"
OUTSIDE = (NAME, tree.SIGNATURE, tree.BUNDLE)
"""What the manifest does not list: itself, and the signatures over it."""


class Files(TypedDict):
    """The part of a manifest over which its own digest is computed."""

    schema: int
    files: dict[str, str]


class Manifest(Files):
    """The content of manifest.json."""

    digest: str


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digests(folder: Path, skip: tuple[str, ...] = ()) -> dict[str, str]:
    """Relative POSIX path -> SHA-256, for every regular file below `folder`, in sorted order."""
    return {name: file_digest(path) for name, path in tree.regular(folder).items() if name not in skip}


def write(folder: Path) -> str:
    """Write the manifest of all files in the folder; returns its digest."""
    sealed: Files = {"schema": 1, "files": digests(folder, skip=OUTSIDE)}
    body: Manifest = {**sealed, "digest": hashlib.sha256(canonical(sealed)).hexdigest()}
    (folder / NAME).write_bytes(canonical(body) + b"\n")
    return body["digest"]


def enclosing(path: str | Path) -> Path | None:
    """The sealed run that contains a path, into which nothing may be written; None if there is none."""
    place = Path(path).resolve()
    return next((folder for folder in (place, *place.parents) if (folder / NAME).is_file()), None)


def check(folder: Path) -> list[str]:
    """One line per file that was changed, removed or added after sealing; empty if there is none."""
    path = folder / NAME
    if not path.is_file():
        return [f"{path}: not found; the run was never sealed (finish it with `harness run --resume {folder}`)"]
    raw = path.read_bytes()
    try:
        body = json.loads(raw)
        claimed = body.pop("digest")
        files = dict(body["files"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return [f"{path}: not a manifest; it was changed after sealing"]
    if hashlib.sha256(canonical(body)).hexdigest() != claimed or canonical({**body, "digest": claimed}) + b"\n" != raw:
        return [f"{path}: changed after sealing (its own digest does not match)"]
    found = digests(folder, skip=OUTSIDE)
    wrong = [f"{folder / n}: missing, though sealed" for n in sorted(set(files) - set(found))]
    wrong += [f"{folder / n}: not in the manifest, added after sealing" for n in sorted(set(found) - set(files))]
    wrong += [
        f"{folder / n}: changed after sealing (SHA-256 {found[n][:12]}…, sealed {files[n][:12]}…)"
        for n in sorted(set(files) & set(found))
        if files[n] != found[n]
    ]
    return wrong
