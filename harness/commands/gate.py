"""`harness gate EVIDENCE... --target T`: may what is at hand ship? From sealed evidence only."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.arguments import JSON, signed_by, signers

if TYPE_CHECKING:
    from harness.evidence.release.at_hand import Named
    from harness.evidence.release.ruling import Ruling

NAME = "gate"
HELP = "the ship gate of CI"
EPILOG = "exit codes: 0 open, 1 red or not verified, 2 usage or runs that do not merge, 3 short"


def arguments(parser: argparse.ArgumentParser) -> None:
    """EVIDENCE... --target T [--candidate C] [--contracts PATH] [--trust-missing] [--min-ship PERCENT] ..."""
    add = parser.add_argument
    add("evidence", nargs="+", metavar="EVIDENCE", help="runs of one candidate, from any hosts; they are merged")
    add("--target", required=True, action="append", metavar="T", help="may be given more than once")
    add("--candidate", metavar="C", help="what you ship (default: harness.toml's, else torch); other evidence is STALE")
    add(
        "--contracts",
        action="append",
        default=[],
        metavar="PATH",
        help="the contracts at hand, with their ship.yaml, may be given more than once (default: contracts/ here)",
    )
    add("--weights", metavar="DIR", help="the weights at hand, if the run had --weights")
    add("--trust-missing", action="store_true", help="accept evidence of a source that is not here; it is written down")
    add(
        "--min-ship",
        type=_percent,
        metavar="PERCENT",
        help="open from this ship-%% on if nothing is red (default: all)",
    )
    add("--max-age", type=_duration, metavar="DURATION", help="older evidence is STALE: 90m, 24h, 7d")
    signed_by(parser)
    add("--json", action="store_true", help=JSON)


def run(args: argparse.Namespace) -> int:
    """Print what is at hand and the criteria that keep each target from shipping; returns the exit code.

    0 open, 1 red, 3 short.
    Raises: UserError if the runs do not merge, or if there is no such target at hand.
    """
    from harness.evidence.release.ruling import Question, rule_on
    from harness.words.plain import say, say_json

    who = signers(args)
    found = rule_on(Question(args.evidence, args.target, _named(args), args.min_ship, args.max_age, who))
    if args.json:
        say_json(_as_json(found))
    else:
        say(*found.hand.lines(), *(_refusal(found, args.target) if found.faults else _lines(found)))
    _tell_github(found, args.json)
    return found.code


def _named(args: argparse.Namespace) -> Named:
    """What the user says is to ship: the command line, else the project's settings."""
    from harness.contract.location import HERE
    from harness.evidence.release.at_hand import Named
    from harness.run import settings
    from harness.run.options import Options

    here = [HERE] if Path(HERE).is_dir() else ["."]
    held = settings.find(args.contracts or here)
    chosen = args.candidate or held.get("candidate") or Options(paths=[]).candidate
    return Named(chosen, tuple(args.contracts), args.weights or held.get("weights"), args.trust_missing)


def _as_json(found: Ruling) -> dict[str, object]:
    head = {
        "open": found.code == 0,
        "exit_code": found.code,
        "evidence": [str(folder) for folder in found.folders],
        "faults": found.faults,
        "at_hand": found.hand.as_json(),
        "trust_missing": found.hand.named.trust_missing,
        "trusted": found.trusted,
    }
    if found.faults:
        return head
    return {**head, "targets": [each.as_json() for each in found.decisions], "red_elsewhere": found.red_elsewhere}


def _refusal(found: Ruling, targets: list[str]) -> list[str]:
    """Lines that close every gate, because the evidence does not verify."""
    return [*found.faults, *(f"gate {target}: CLOSED, the evidence does not verify" for target in targets)]


def _lines(found: Ruling) -> list[str]:
    out = list(found.trusted)
    for decision in found.decisions:
        for criterion in decision.red + decision.short:
            out.append(f"{criterion['id']} {criterion['verdict']}: " + "; ".join(criterion["why"]))
        out.append(f"gate {decision.target['id']}: {decision.line}")
    if found.red_elsewhere:
        out.append(f"red, though no criterion of these targets names it: {', '.join(found.red_elsewhere)}")
    return out


def _tell_github(found: Ruling, as_json: bool) -> None:
    from harness.report.ci import github
    from harness.report.claim import reported
    from harness.words import plain

    if not github.enabled():
        return
    head = [plain.fenced([*found.hand.lines(), *found.trusted])]
    if found.faults:
        github.print_lines([github.annotation("error", fault, title="harness gate") for fault in found.faults], as_json)
        github.append_summary(["## Gate: CLOSED", f"The evidence does not verify: {len(found.faults)} faults."])
        return
    claims = reported(found.merged, found.runs)
    github.print_lines(github.of_decisions(found.decisions, claims), as_json)
    github.append_summary([*head, *github.gate_page(found.decisions, claims)])


def _percent(text: str) -> Fraction:
    number = Fraction(text) if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})?", text) else Fraction(0)
    if not 0 < number <= 100:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number above 0 and at most 100")
    return number


def _duration(text: str) -> timedelta:
    from harness.evidence.release.stale import duration

    try:
        return duration(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
