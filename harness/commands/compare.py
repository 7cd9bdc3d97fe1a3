"""`harness compare BEFORE AFTER`: what moved between two runs, and why."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from harness.commands.arguments import JSON

if TYPE_CHECKING:
    from harness.report.movement import MeasurementMove, Movement, MutantMove, TargetMove, VerdictMove

NAME = "compare"
HELP = "what moved between two runs, and why"
EPILOG = (
    "exit codes: 0 nothing got worse, 1 something got worse or a run does not verify. Worse means: a claim turned "
    "red, a surviving claim no longer survives (or did not run), ship-%% fell, or a killed mutant is alive."
)
SHOWN = 12


def arguments(parser: argparse.ArgumentParser) -> None:
    """BEFORE AFTER [--json]"""
    parser.add_argument("before", metavar="BEFORE", help="a sealed run")
    parser.add_argument("after", metavar="AFTER", help="a later sealed run")
    parser.add_argument("--json", action="store_true", help=JSON)


def run(args: argparse.Namespace) -> int:
    """Print what moved; 1 if anything got worse, as `harness.report.movement.moved` defines it, else 0.

    Raises: UserError if a run does not verify.
    """
    from harness.evidence.verify import verified
    from harness.report.movement import moved
    from harness.report.state import states
    from harness.words.plain import say, say_json

    old, new = (states(verified([path]))[0] for path in (args.before, args.after))
    found = moved(old, new)
    ids = {"before": old.newest["id"], "after": new.newest["id"]}
    if args.json:
        say_json({**ids, **found})
    else:
        say(*_text(ids, found))
    return 1 if found["worse"] else 0


def _text(ids: Mapping[str, str], found: Movement) -> Iterator[str]:
    from harness.report.difference import UNEXPLAINED

    yield f"{ids['before']} → {ids['after']}"
    yield from _section("what differs", [cause["text"] for cause in found["causes"]] or [UNEXPLAINED])
    yield from _section("ship-%", [_target(t) for t in found["targets"]])
    shown = [c for c in found["verdicts"] if c["selected"]]
    left = len(found["verdicts"]) - len(shown)
    for way in ("worse", "better", "other"):
        lines = [_verdict(change) for change in shown if change["direction"] == way]
        yield from _section({"other": "changed, neither better nor worse"}.get(way, way), lines)
    if left:
        yield ""
        yield f"{left} claims were left out by -k in one of the runs; compare runs of the same -k to leave them aside"
    yield from _section("known-wrong versions", [_mutant(m) for m in found["mutants"]])
    yield from _section("measurements that moved by much", [_measurement(m) for m in found["measurements"]])
    yield ""
    yield "something got worse" if found["worse"] else "nothing got worse"


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        yield from (f"  {line}" for line in lines[:SHOWN])
        if len(lines) > SHOWN:
            yield f"  and {len(lines) - SHOWN} more (--json has all)"


def _target(change: TargetMove) -> str:
    if change["was"] == change["now"]:
        return f"{change['id']}: {change['now']}, as before"
    return f"{change['id']}: {change['was'] or 'not there'} → {change['now'] or 'gone'}"


def _verdict(change: VerdictMove) -> str:
    states_ = f"{change['before'] or 'new'} → {change['after'] or 'gone'}"
    return f"{change['id']}: {states_} ({change['reason']}); because: {change['because']}"


def _mutant(change: MutantMove) -> str:
    return f"{change['claim']}: {change['mutant']} {change['before']} → {change['after']}"


def _measurement(change: MeasurementMove) -> str:
    old, new = change["before"], change["after"]
    values = f"{old['value']:.3g} → {new['value']:.3g}, {new['margin']:.3g} × the limit"
    return f"{change['claim']}: {change['limit']} in {change['dtype']}: {values}"
