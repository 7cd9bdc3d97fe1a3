"""`harness report`: write pages and machine-readable files about one or several runs, never into a sealed run."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.errors import UserError
from harness.words.plain import say

NAME = "report"
HELP = "write HTML, Markdown, JUnit XML and SARIF about one or several runs"
EPILOG = (
    "Runs of the same candidate, code and contracts are merged into one state. The newest state is shown "
    "and compared with the older ones."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """EVIDENCE... [--out DIR]"""
    parser.add_argument("evidence", nargs="+", metavar="EVIDENCE", help="runs; a folder of runs means its newest")
    parser.add_argument("--out", default="report", metavar="DIR", help="the folder for the pages, not inside a run")


def run(args: argparse.Namespace) -> int:
    """Write `report.md`, `junit.xml`, `harness.sarif` and `index.html` below `out` and print their paths.

    Runs that merge form one state. The report shows the newest state and compares it with the older ones.

    Raises: UserError if a run does not verify, or if `out` lies inside a sealed run or is a file.
    """
    from harness.evidence.verify import verified
    from harness.report.ci import junit, sarif
    from harness.report.markdown import markdown
    from harness.report.outline import outline
    from harness.report.page import html
    from harness.report.state import states

    folders = verified(args.evidence)
    target = _outside(Path(args.out))
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
        say(f"harness: {lacking}", stderr=True)
    else:
        _write(target / "index.html", page.encode())
    return 0


def _outside(out: Path) -> Path:
    from harness.evidence import manifest, store

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
    say(path)
