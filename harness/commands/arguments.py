"""Parts that several commands' arguments share: the parser, number types and help texts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.evidence.signature import Signers

GITHUB = "https://token.actions.githubusercontent.com"
"""Who vouches for a workflow of GitHub Actions."""
PATHS = "contracts: files, folders or builtin:NAME"
JSON = "one JSON object on stdout"
SECONDS = {"s": 1, "m": 60, "h": 3600}
EXIT = (
    """exit codes: 0 survived, 1 red, 2 bad contract or usage, 3 nothing survived, 4 the evidence cannot be written"""
)


class Parser(argparse.ArgumentParser):
    """An argparse parser that reports a mistake as a one-line UserError instead of printing its usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        from harness.errors import UserError

        raise UserError(f"{message} (see `{self.prog} --help`)")


def signed_by(parser: argparse.ArgumentParser) -> None:
    """--key PUB and --identity NAME (each may be given more than once), --issuer, --trust-root, --require-signature."""
    parser.add_argument(
        "--key", action="append", default=[], metavar="PUB", help="a signature must be by one of these public keys"
    )
    parser.add_argument(
        "--identity",
        action="append",
        default=[],
        metavar="NAME",
        help="or, for `run --sign sigstore`, by this one: a workflow's address or a mail address",
    )
    parser.add_argument("--issuer", metavar="URL", help=f"who vouches for --identity (default: {GITHUB})")
    parser.add_argument(
        "--trust-root", metavar="FILE", help="trusted_root.json of your own Sigstore (default: the public one)"
    )
    parser.add_argument("--require-signature", action="store_true", help="a run without a signature is a fault")


def signers(args: argparse.Namespace) -> Signers:
    """Who may have signed. Raises: UserError if a signature is required and nobody is named: anyone could have."""
    from harness.errors import UserError
    from harness.evidence.keyless import Signer
    from harness.evidence.signature import Signers

    if args.require_signature and not args.key and not args.identity:
        raise UserError("--require-signature: found neither --key nor --identity, expected who may sign")
    for option, given in (("--issuer", args.issuer), ("--trust-root", args.trust_root)):
        if given and not args.identity:
            raise UserError(f"{option}: found no --identity, expected who signed by Sigstore")
    identities = tuple(Signer(name, args.issuer or GITHUB) for name in args.identity)
    return Signers(tuple(args.key), identities, args.require_signature, args.trust_root)


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    number = natural(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected 1 or more")
    return number


def natural(text: str) -> int:
    """Parse a whole number of at least 0."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number")
    return int(text)


def duration(text: str) -> float:
    """Parse a time such as 90s, 10m or 2h. Units: -> seconds."""
    number, unit = text[:-1], text[-1:]
    if unit not in SECONDS or not number.isdigit() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a time such as 90s, 10m or 2h; give one of these")
    return float(int(number) * SECONDS[unit])
