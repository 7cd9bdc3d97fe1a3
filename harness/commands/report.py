"""`harness report`: pages and machine-readable files over one or several runs; never written into a sealed run."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.commands import verify
from harness.errors import UserError
from harness.evidence import manifest, store
from harness.report import junit, sarif
from harness.report.markdown import markdown
from harness.report.outline import outline
from harness.report.page import html
from harness.report.state import states


def run(paths: list[str], *, out: str) -> int:
    """Write `report.md`, `junit.xml`, `harness.sarif` and `index.html` below `out` and print their paths.

    Runs that merge are one answer; the newest answer is the present, the others are the history against which
    movement is shown.

    Raises: UserError if a run does not verify, or if `out` lies inside a sealed run or is a file.
    """
    folders = verified(paths)
    target = _outside(Path(out))
    history = states(folders)
    found = outline(history)
    now = history[-1]
    target.mkdir(parents=True, exist_ok=True)
    _write(target / "report.md", markdown(now, found).encode())
    _write(target / "junit.xml", junit.document(now.merged, now.runs))
    _write(target / "harness.sarif", sarif.document(now.merged, now.runs).encode())
    try:
        page = html(history, found)
    except UserError as lacking:
        print(f"harness: {lacking}", file=sys.stderr)
    else:
        _write(target / "index.html", page.encode())
    return 0


def verified(paths: list[str]) -> list[Path]:
    """The sealed runs that the paths mean.

    Raises: UserError with the first fault if any of them does not verify.
    """
    folders = store.sealed_runs(map(Path, paths))
    for folder in folders:
        faults = verify.check(folder)
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise UserError(f"{faults[0]}{more}; only verified evidence is reported", code=1)
    return folders


def _outside(out: Path) -> Path:
    target = out.resolve()
    if target.exists() and not target.is_dir():
        raise UserError(f"--out {out}: is a file; give a folder")
    if inside := manifest.enclosing(target):
        raise UserError(f"--out {out}: lies inside the sealed run {inside}; give a folder outside it")
    for parent in (target, *target.parents):
        if parent.name.endswith(store.PARTIAL):
            raise UserError(f"--out {out}: lies inside the unfinished run {parent}; give a folder outside it")
    return target


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    print(path)
