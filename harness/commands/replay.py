"""`harness replay COUNTEREXAMPLE`: run one saved failure again on the stored bytes."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "replay"
HELP = "run one saved counterexample again on the same bytes"


def arguments(parser: argparse.ArgumentParser) -> None:
    """COUNTEREXAMPLE [--candidate C]"""
    parser.add_argument("counterexample", metavar="COUNTEREXAMPLE", help="counterexample.json of a claim")
    parser.add_argument("--candidate", metavar="C", help="try another candidate on the same bytes")


def run(args: argparse.Namespace) -> int:
    """Print the case, the bytes compared and the violated limits; 1 if it fails again, 0 if it passes now."""
    from harness.trial.replay import replay

    again = replay(Path(args.counterexample), args.candidate)
    about = again.about
    print(f"{about['claim']} ({about['contract']}), candidate {again.candidate}, {about['device']}")
    print(f"  case      {about['case']['params']} {about['case']['dtype']} seed={about['case']['seed']}")
    print(f"  inputs    {again.arrays} arrays, {'the stored bytes' if again.same_inputs else 'NOT the stored bytes'}")
    print(f"  outputs   {'the same bytes as recorded' if again.same_outputs else 'other bytes than recorded'}")
    for finding in again.broken:
        row, place = finding.row, ""
        if row and "at" in row:
            place = f" at {row['pair']}{row['at']}: found {row['got']}, reference {row['want']}"
        print(f"  violates  {finding.limit} ({finding.measure} = {finding.value:.6g}){place}")
    if not again.broken:
        print("  violates  nothing on its own" + ("" if about["reproducible"] else ": it was not reproducible"))
    return 1 if again.broken else 0
