"""`harness mutants`: which claim and limit kills which mutant, and by what margin."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.arguments import JSON, positive

if TYPE_CHECKING:
    from harness.judging.result import MutantRow, Result

NAME = "mutants"
HELP = "which claim and limit kills which mutant, by what margin"


def arguments(parser: argparse.ArgumentParser) -> None:
    """[PATH...] [-j N] [--json]"""
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH", help="evidence or contracts; default: the newest evidence")
    add("-j", dest="workers", type=positive, metavar="N", help="number of claims to run at once")
    add("--json", action="store_true", help=JSON)


def run(args: argparse.Namespace) -> int:
    """Print the mutants of evidence folders, or of contracts that are run with their baselines as candidate.

    Exit 1 if a mutant survived, 3 if there was no mutant.
    """
    from harness.evidence import store
    from harness.evidence.summary import read_results
    from harness.judging.mutant_kills import alive
    from harness.report.terminal import print_mutants
    from harness.words.plain import say_json

    if not args.paths or any(_is_evidence(Path(path)) for path in args.paths):
        folders = store.sealed_runs(map(Path, args.paths or ["evidence"]))
        results = {name: result for folder in folders for name, result in read_results(folder).items()}
    else:
        results = _run_baselines(args.paths, args.workers)
    rows: list[MutantRow] = [
        {"claim": claim, **fate} for claim, result in sorted(results.items()) for fate in result["mutants"]
    ]
    if args.json:
        say_json({"mutants": rows})
    else:
        print_mutants(rows)
    if not rows:
        return 3
    return 1 if any(alive(row) for row in rows) else 0


def _is_evidence(path: Path) -> bool:
    from harness.evidence import manifest

    if not path.is_dir():
        return False
    return (path / manifest.NAME).is_file() or any((p / "run.json").is_file() for p in path.iterdir())


def _run_baselines(paths: list[str], workers: int | None) -> dict[str, Result]:
    """Run the contracts with each claim's baseline as its candidate, and delete the evidence afterwards."""
    from harness.report.progress import TerminalProgress
    from harness.run import session
    from harness.run.options import Options
    from harness.subject import candidate

    with tempfile.TemporaryDirectory(prefix="harness-mutants-") as folder:
        options = Options(paths=paths, candidate=candidate.BASELINE, evidence=folder, workers=workers)
        return session.run_session(options, TerminalProgress()).sealed.results
