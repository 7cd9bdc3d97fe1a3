"""Import files of the provable-contracts format: write our contracts to a folder, and count executable tests."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from harness.contract.draft import Draft
from harness.contract.location import contracts_below
from harness.contract.text.writer import as_read, dump
from harness.errors import UserError
from harness.provable.batch import Batch, ImportedContract
from harness.provable.cover import covered
from harness.provable.kind import Kind


def import_files(paths: list[str], folder: Path, *, force: bool) -> dict[str, Any]:
    """Write a contract into `folder` for each file; return the imports and the failures as plain data.

    Raises: UserError if `folder` is not a folder or cannot be written to.
    """
    files, failed = _files(paths)
    batch = Batch.gather(files)
    failed += batch.failed.values()
    replaced = {_target(folder, id_) for id_ in batch.ids.values()} if force else set()
    beside = _neighbours(folder, {path.resolve() for path in files})
    # Contracts that --force replaces do not occupy their claim ids.
    taken = {
        str(claim.get("id")) for path, each in beside.items() if path not in replaced for claim in each.claims.values()
    }
    owners = {str(each.id): path for path, each in beside.items()}
    done = []
    for each in batch.contracts(contracts=owners, claims=taken):
        target = _target(folder, each.id)
        owner = owners.get(each.id, target)
        problem = _write(each, target, files, force=force) if owner == target else _in_use(each, owner)
        done += [each] if problem is None else []
        failed += [problem] if problem is not None else []
    return {"imported": [_about(each, folder) for each in done], "failed": failed, **_totals(done)}


def _files(paths: list[str]) -> tuple[list[Path], list[str]]:
    """The files at `paths`, including a folder's YAML files, each once and sorted by name; and error messages."""
    found: dict[Path, Path] = {}
    failed = []
    for path in map(Path, paths):
        below = list(contracts_below(path)) if path.is_dir() else [path]
        if not below:
            failed.append(f"{path}: no *.yaml file below this folder")
        if not path.exists():
            failed.append(f"{path}: no such file")
            continue
        for each in below:
            found.setdefault(each.resolve(), each)
    return sorted(found.values()), failed


def _neighbours(folder: Path, sources: set[Path]) -> dict[Path, Draft]:
    """The contracts that are already in the folder, without those that are being imported."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {folder}: is a file, expected a folder")
    files = [path for path in contracts_below(folder) if path.resolve() not in sources] if folder.is_dir() else []
    return {path: Draft.read(path, None) for path in files}


def _target(folder: Path, id_: str) -> Path:
    return folder / f"{id_}.yaml"


def _write(each: ImportedContract, target: Path, sources: list[Path], *, force: bool) -> str | None:
    """Write the contract and read it back; return None, or one line that says why it was not written.

    Raises: UserError if the folder cannot be written to.
    """
    source = each.document.source.path
    if target.resolve() in {path.resolve() for path in sources}:
        return f"{source}: would overwrite {target}, which is being imported; give another --out"
    if target.exists() and not force:
        return f"{source}: {target} exists and is not changed; --force replaces it, --out DIR writes elsewhere"
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text_of(each), encoding="utf-8", newline="\n")
        back = Draft.read(temporary, "contract")
        if back.problems:
            return f"{source}: not written, because the result is not a valid contract: {back.problems[0].message}"
        if back.data != as_read(each.contract):
            return f"{source}: not written, because it would not read back unchanged; please report this"
        os.replace(temporary, target)
    except OSError as error:
        raise UserError(f"--out {target.parent}: cannot be written to: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return None


def _in_use(each: ImportedContract, owner: Path) -> str:
    return f"{each.document.source.path}: its contract id {each.id!r} is already that of {owner}; give another --out"


def text_of(each: ImportedContract) -> str:
    """The text of the contract's file."""
    head = "# Imported by `harness import`. No claim runs until a falsifier is bound in place of `unbound`.\n"
    return head + dump(each.contract)


def _about(each: ImportedContract, folder: Path) -> dict[str, Any]:
    document = each.document
    tests = [{"id": id_, "kind": entry.kind.value, "section": entry.section} for id_, entry in each.claims]
    return {
        "source": document.file,
        "contract": str(_target(folder, each.id)),
        "id": each.id,
        "tests": tests,
        "kinds": dict(each.kinds),
        "renamed": each.renamed,
        "kept": document.sections(),
        "comments": len(document.source.comments),
        "notes": document.notes,
        "built_in": covered([each.id, *document.equations]),
    }


def _totals(done: list[ImportedContract]) -> dict[str, Any]:
    kinds = sum((each.kinds for each in done), Counter[str]())
    tests = sum(kinds.values())
    counts = {"tests": tests, "bound": 0, **{kind.value: kinds[kind.value] for kind in Kind}}
    return {"counts": counts, "executable_share": round(kinds["command"] / tests, 4) if tests else 0.0}
