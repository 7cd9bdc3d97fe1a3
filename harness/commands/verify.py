"""`harness verify EVIDENCE...`: hash every file again, judge every claim again, compute every number again."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.commands.arguments import signed_by, signers

NAME = "verify"
HELP = "hash every file again and judge every claim again"


def arguments(parser: argparse.ArgumentParser) -> None:
    """EVIDENCE... [--key PUB] [--identity NAME [--issuer URL] [--trust-root FILE]] [--require-signature]"""
    parser.add_argument("evidence", nargs="+", metavar="EVIDENCE", help="sealed runs, or folders of them")
    signed_by(parser)


def run(args: argparse.Namespace) -> int:
    """Check runs; prints one line per fault and one per run; returns the exit code."""
    from harness.evidence import manifest, signature, store
    from harness.evidence.reconcile import DRAWS, redraws
    from harness.evidence.verify import check
    from harness.words.plain import say

    who = signers(args)
    faulty = False
    for folder in store.sealed_runs(map(Path, args.evidence)):
        faults = check(folder) or signature.faults(folder, who)
        for fault in faults:
            say(fault)
        if faults:
            say(f"{folder}: NOT verified, {len(faults)} fault{'s' if len(faults) > 1 else ''}")
        else:
            body = store.read_json(folder / "run.json")
            counts = ", ".join(f"{n} {verdict}" for verdict, n in body["counts"].items())
            files = len(store.read_json(folder / manifest.NAME)["files"])
            judged = sum(1 for _ in store.claims(folder))
            rest = f" ({len(body['claims']) - judged} did not run)" if len(body["claims"]) > judged else ""
            say(f"{folder}: verified, {files} files, {judged} claims judged again{rest}: {counts}")
            if not redraws(body):
                made = body["versions"].get(DRAWS, "another version")
                say(f"{folder}: its cases were not drawn again: made with {DRAWS} {made}, which is not installed here")
        faulty |= bool(faults)
    return 1 if faulty else 0
