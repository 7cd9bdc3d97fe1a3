"""`harness keygen NAME`: make a key with which runs are signed."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "keygen"
HELP = "make an Ed25519 key: NAME.key to sign runs with, NAME.pub to check them with"


def arguments(parser: argparse.ArgumentParser) -> None:
    """NAME"""
    parser.add_argument("name", metavar="NAME", help="the files' common name, as in keys/release")


def run(args: argparse.Namespace) -> int:
    """Write both files and print what each is for. Raises: UserError if one of them exists."""
    from harness.evidence import signature
    from harness.words.plain import say

    secret, shown, name = signature.generate(Path(args.name))
    say(f"{secret}: sign with `harness run --sign {secret}`; keep it out of reach of what you test")
    say(f"{shown}: check with `harness verify --key {shown} --require-signature`; key {name[:16]}")
    return 0
