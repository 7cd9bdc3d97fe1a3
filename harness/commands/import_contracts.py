"""`harness import FILE...`: convert provable-contracts files to contracts, and report what share could be executed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.commands.arguments import JSON
from harness.words.plain import say, say_json

NAME = "import"
HELP = "convert provable-contracts files to contracts without falsifiers"
EPILOG = "exit codes: 0, 2"
WORDS = {"command": "command", "code": "test code", "prose": "prose", "none": "without a test"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """FILE... [--out DIR] [--force] [--json]"""
    add = parser.add_argument
    add("paths", nargs="+", metavar="FILE", help="YAML files, or folders of them")
    add("--out", default="imported", metavar="DIR", help="where the contracts go")
    add("--force", action="store_true", help="replace contracts that are in DIR already")
    add("--json", action="store_true", help=JSON)


def run(args: argparse.Namespace) -> int:
    """Write a contract into DIR for each file; returns the exit code, 2 if any file was not imported.

    Raises: UserError if DIR cannot be a folder.
    """
    from harness.provable.importing import import_files

    folder = Path(args.out)
    report = import_files(args.paths, folder, force=args.force)
    if args.json:
        say_json(report)
    else:
        _print(report, folder)
    return 2 if report["failed"] else 0


def _print(report: dict[str, Any], folder: Path) -> None:
    for each in report["imported"]:
        say(f"{each['contract']}: {_tests(each['kinds'])}; from {each['source']}")
        kept = [f"{name} {count}" if count else name for name, count in each["kept"].items()]
        kept += [f"comments {each['comments']}"] if each["comments"] else []
        if kept:
            say(f"  kept     {', '.join(kept)}")
        for old, new in each["renamed"].items():
            say(f"  renamed  {old!r} to {new}")
        for note in each["notes"]:
            say(f"  note     {note}")
        for arguments, claims in each["built_in"].items():
            say(f"  same op  harness run {arguments}   ({claims})")
    for problem in report["failed"]:
        say(problem, stderr=True)
    counts = report["counts"]
    say(f"{len(report['imported'])} contracts imported, {len(report['failed'])} not")
    if counts["tests"]:
        share = f"{100 * report['executable_share']:.2g} %"
        say(f"{_tests(counts)}, 0 bound; {share} could be executed (commands), none of it was run here")
        say(f"next: harness validate {folder}; every test is UNVERIFIED until a falsifier is bound to it")


def _tests(counts: dict[str, int]) -> str:
    from harness.provable.kind import Kind

    kinds = [f"{counts[kind.value]} {WORDS[kind.value]}" for kind in Kind if counts.get(kind.value)]
    kinds = [f"{each}s" if each.endswith("command") and each != "1 command" else each for each in kinds]
    total = sum(counts.get(kind.value, 0) for kind in Kind)
    return f"{total} test{'s' if total != 1 else ''}: {', '.join(kinds)}"
