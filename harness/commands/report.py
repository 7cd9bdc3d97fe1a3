"""`harness report`: index.html and report.md over one or several runs; never written into a sealed run."""

from __future__ import annotations

import sys
from pathlib import Path

from harness import evidence, manifest
from harness.commands import verify
from harness.errors import UserError
from harness.report.markdown import markdown
from harness.report.outline import outline
from harness.report.page import html
from harness.report.state import states


def run(paths: list[str], *, out: str) -> int:
    """Write `report.md` and `index.html` below `out` and print their paths.

    Runs with the same candidate, code and contract digests are one answer; the newest answer is the present, the
    others are the history against which movement is shown.

    Raises: UserError if a run does not verify, or if `out` lies inside a sealed run or is a file.
    """
    folders = verified(paths)
    target = _outside(Path(out))
    history = states(folders)
    found = outline(history)
    target.mkdir(parents=True, exist_ok=True)
    _write(target / "report.md", markdown(history[-1], found))
    try:
        page = html(history, found)
    except UserError as lacking:
        print(f"harness: {lacking}", file=sys.stderr)
    else:
        _write(target / "index.html", page)
    return 0


def verified(paths: list[str]) -> list[Path]:
    """The sealed runs that the paths mean.

    Raises: UserError with the first fault if any of them does not verify.
    """
    folders = [evidence.sealed(Path(path)) for path in paths]
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
    for parent in (target, *target.parents):
        if (parent / manifest.NAME).is_file():
            raise UserError(f"--out {out}: lies inside the sealed run {parent}; give a folder outside it")
        if parent.name.endswith(evidence.PARTIAL):
            raise UserError(f"--out {out}: lies inside the unfinished run {parent}; give a folder outside it")
    return target


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    print(path)
