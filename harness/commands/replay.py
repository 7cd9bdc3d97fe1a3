"""`harness replay COUNTEREXAMPLE`: run one saved failure again on the stored bytes."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "replay"
HELP = "run one saved counterexample again on the same bytes"


def arguments(parser: argparse.ArgumentParser) -> None:
    """COUNTEREXAMPLE [--candidate C] [--contracts PATH] [--weights DIR]"""
    add = parser.add_argument
    add("counterexample", metavar="COUNTEREXAMPLE", help="counterexample.json of a claim")
    add("--candidate", metavar="C", help="what to run: the recorded one, or corrected code (default: harness.toml)")
    add("--contracts", metavar="PATH", help="where the claim is (default: contracts/ here if it has it, else builtin:)")
    add("--weights", metavar="DIR", help="the model that the run had with --weights")


def run(args: argparse.Namespace) -> int:
    """Print the case, the bytes compared and the violated limits; 1 if it fails again, 0 if it passes now."""
    from harness.run import settings
    from harness.trial.replay import Asked, replay
    from harness.words.plain import say

    found = settings.find([args.contracts or "."])
    asked = Asked(
        contracts=args.contracts,
        candidate=args.candidate or found.get("candidate"),
        weights=args.weights or found.get("weights"),
    )
    again = replay(Path(args.counterexample), asked)
    about = again.about
    say(f"{about['claim']} ({about['contract']}), candidate {again.candidate}, {about['device']}")
    if again.same_candidate is False:
        say("  candidate another source than the recorded one")
    say(f"  case      {about['case']['params']} {about['case']['dtype']} seed={about['case']['seed']}")
    say(f"  inputs    {again.arrays} arrays, {'the stored bytes' if again.same_inputs else 'NOT the stored bytes'}")
    say(f"  outputs   {'the same bytes as recorded' if again.same_outputs else 'other bytes than recorded'}")
    for finding in again.broken:
        row, place = finding.row, ""
        if row and "at" in row:
            place = f" at {row['pair']}{row['at']}: found {row['got']}, reference {row['want']}"
        say(f"  violates  {finding.limit} ({finding.measure} = {finding.value:.6g}){place}")
    if not again.broken:
        say("  violates  nothing on its own" + ("" if about["reproducible"] else ": it was not reproducible"))
    return 1 if again.broken else 0
