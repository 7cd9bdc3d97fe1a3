"""`harness validate PATH...`: print every mistake in the contracts, then what each claim binds."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.commands.arguments import JSON, PATHS

if TYPE_CHECKING:
    from harness.contract.validate import Checked

NAME = "validate"
HELP = "check contracts without running them"
_HEAD = ("claim", "falsifier", "baseline", "mutants")


def arguments(parser: argparse.ArgumentParser) -> None:
    """PATH... [--json]"""
    parser.add_argument("paths", nargs="+", metavar="PATH", help=PATHS)
    parser.add_argument("--json", action="store_true", help=JSON)


def run(args: argparse.Namespace) -> int:
    """Check the contracts and print what was found; returns the exit code, 2 on any error."""
    from harness.contract.validate import check
    from harness.words.plain import say, say_json

    checked = check(args.paths)
    if args.json:
        say_json(_as_json(checked), indent=2)
    else:
        say(*_as_text(checked))
    return 2 if checked.errors else 0


def _as_text(checked: Checked) -> list[str]:
    lines = [str(problem) for problem in checked.problems]
    if checked.bindings or checked.unbound:
        lines += ["", *_table([_HEAD, *_rows(checked)])] if lines else _table([_HEAD, *_rows(checked)])
    return [*lines, *([""] if lines else []), _summary(checked)]


def _summary(checked: Checked) -> str:
    unbound = f" ({len(checked.unbound)} unbound)" if checked.unbound else ""
    found = f"{checked.files} contracts, {checked.claims} claims{unbound}"
    return f"{found}: {checked.errors} errors, {checked.warnings} warnings"


def _rows(checked: Checked) -> list[tuple[str, ...]]:
    from harness.contract.names.reference import short

    bound = [
        (
            claim,
            f"{short(binding.falsifier.file)}:{binding.falsifier.name}",
            str(binding.baseline or "-"),
            str(len(binding.mutants)),
        )
        for claim, binding in checked.bindings.items()
    ]
    return sorted([*bound, *((claim, "unbound", "-", "-") for claim in checked.unbound)])


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _as_json(checked: Checked) -> dict[str, object]:
    bindings = {
        claim: {
            "falsifier": str(binding.falsifier),
            "baseline": str(binding.baseline) if binding.baseline else None,
            "mutants": binding.mutants,
            "measures": list(binding.measures),
        }
        for claim, binding in sorted(checked.bindings.items())
    }
    counts = {name: getattr(checked, name) for name in ("claims", "errors", "warnings")}
    report = {"contracts": checked.files, **counts, "problems": [asdict(each) for each in checked.problems]}
    return {**report, "unbound": list(checked.unbound), "bindings": bindings}
